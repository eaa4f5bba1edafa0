"""Address of observability/runbooks.md for the links of alerts: the setting, or the web page of the checkout's remote.

The committed rules have a placeholder (observability/runbooks.toml), because each fork has its own host.
"""

import re

from deploy.commands import run
from deploy.context import DeployContext
from deploy.errors import CommandError

PLACEHOLDER = "https://example.org/thale/observability/runbooks.md"
"""The base of the committed rules. A test compares it with observability/runbooks.toml."""
_REMOTE = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|[^@/]+@)(?P<host>[\w.-]+)(?::\d+)?[:/](?P<path>[\w./~-]+?)(?:\.git)?/?"
)
_FORGES = ("github", "gitlab")
"""Names in the hosts of forges that serve a file of the default branch at /blob/HEAD/PATH."""


def runbooks_url(context: DeployContext) -> str:
    """Return the absolute URL of the runbooks, and log the remedy if only the placeholder is known."""
    if context.settings.runbooks_url:
        return context.settings.runbooks_url
    if (url := url_from_remote(_read_remote(context))) is not None:
        return url
    context.log(
        f"alerts link to the placeholder {PLACEHOLDER}: set runbooks_url, because the remote `origin` of this checkout "
        "has no known web page"
    )
    return PLACEHOLDER


def url_from_remote(remote: str) -> str | None:
    """Return the web page of the runbooks in a repository of GitHub or GitLab, without the credentials of its URL."""
    match = _REMOTE.fullmatch(remote.strip())
    if match is None or not any(forge in match["host"] for forge in _FORGES):
        return None
    return f"https://{match['host']}/{match['path']}/blob/HEAD/observability/runbooks.md"


def _read_remote(context: DeployContext) -> str:
    try:
        return run(["git", "-C", str(context.root), "remote", "get-url", "origin"]).stdout
    except CommandError:
        return ""
