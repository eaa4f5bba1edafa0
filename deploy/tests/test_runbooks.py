"""The address of the runbooks in the links of alerts."""

import subprocess
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from deploy.context import DeployContext
from deploy.runbooks import PLACEHOLDER, runbooks_url, url_from_remote
from deploy.settings import DeploySettings, Environment
from tools.generate.runbook_urls import read_base_url

PAGE = "blob/HEAD/observability/runbooks.md"


def make_context(root: Path, runbooks: str | None = None) -> DeployContext:
    settings = DeploySettings(environment=Environment.LAPTOP, runbooks_url=runbooks)
    return DeployContext(settings, Console(file=StringIO(), width=200), root)


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/plants/thale.git", f"https://github.com/plants/thale/{PAGE}"),
        ("https://anna:secret@github.com/plants/thale", f"https://github.com/plants/thale/{PAGE}"),
        ("git@github.com:plants/thale.git", f"https://github.com/plants/thale/{PAGE}"),
        ("ssh://git@gitlab.example.org:2222/a/b/thale.git\n", f"https://gitlab.example.org/a/b/thale/{PAGE}"),
        ("https://dev.azure.com/plants/project/_git/thale", None),
        ("/srv/git/thale.git", None),
        ("../thale", None),
        ("", None),
    ],
)
def test_url_follows_from_the_remote(remote: str, url: str | None) -> None:
    assert url_from_remote(remote) == url


def test_runbooks_url_is_the_setting_or_the_remote(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    context = make_context(tmp_path)
    assert runbooks_url(context) == PLACEHOLDER
    assert "set runbooks_url" in context.console.file.getvalue()  # type: ignore[attr-defined]
    remote = ["git", "-C", str(tmp_path), "remote", "add", "origin", "git@github.com:plants/thale.git"]
    subprocess.run(remote, check=True)
    assert runbooks_url(make_context(tmp_path)) == f"https://github.com/plants/thale/{PAGE}"
    assert runbooks_url(make_context(tmp_path, "https://wiki/runbooks")) == "https://wiki/runbooks"


def test_placeholder_is_the_base_of_the_rules() -> None:
    assert read_base_url() == PLACEHOLDER
