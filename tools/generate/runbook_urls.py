"""Writes the `runbook_url` of each alert, an absolute URL with the base of observability/runbooks.toml.

    python -m tools.generate.runbook_urls

A relative path is useless in a notification: it has no link to the repository.
"""

import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SETTINGS_PATH = _ROOT / "observability" / "runbooks.toml"
_URL = re.compile(r"(?<=runbook_url: )\S+#(\w+)")


def read_base_url() -> str:
    """Return the address of the runbooks."""
    return str(tomllib.loads(_SETTINGS_PATH.read_text())["base_url"])


def runbook_url(alert: str) -> str:
    """Return the address of an alert's runbook."""
    return f"{read_base_url()}#{alert.lower()}"


def rule_files() -> list[Path]:
    """Return the files with alerts and with their expected annotations."""
    rules = _ROOT / "observability" / "rules"
    heartbeat = _ROOT / "kubernetes" / "platform" / "manifests" / "heartbeat" / "heartbeat.yaml"
    return [*sorted(rules.glob("*.yaml")), *sorted((rules / "tests").glob("*.yaml")), heartbeat]


def with_base_url(text: str, base_url: str) -> str:
    """Return the text of a file with the base in each `runbook_url`."""
    return _URL.sub(lambda match: f"{base_url}#{match[1]}", text)


if __name__ == "__main__":
    for path in rule_files():
        path.write_text(with_base_url(path.read_text(), read_base_url()))
