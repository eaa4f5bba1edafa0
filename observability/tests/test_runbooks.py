"""Runbooks and alerts are one thing: a heading for every alert and no other, and commands that exist."""

import re
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from thale.cli.app import app

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "observability" / "runbooks.md").read_text()
SECTION_TITLES = ("Means.", "Users notice.", "Look at.", "Do.", "It worked when")
SECTIONS = {
    heading: body for heading, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
CODE = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))


def alert_names() -> set[str]:
    files = (REPOSITORY / "observability" / "rules").glob("*.yaml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert SECTIONS.keys() == alert_names()


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_runbook_has_its_five_parts_in_order(heading: str) -> None:
    titles = re.findall(r"\*\*([^*]+)\*\*", SECTIONS[heading])
    assert tuple(titles) == SECTION_TITLES
    assert "```promql" in SECTIONS[heading] or heading == "ThaleRolloutStuck"


def test_links_lead_to_headings() -> None:
    links = re.findall(r"\[(\w+)\]\(#(\w+)\)", TEXT)
    assert links
    for name, anchor in links:
        assert name in SECTIONS
        assert anchor == name.lower()


def test_commands_of_thale_exist() -> None:
    command = typer.main.get_command(app)
    for arguments in [code.split() for code in CODE if code.startswith("thale ")]:
        group: typer.core.TyperGroup | object = command
        for word in arguments[1:]:
            if not isinstance(group, typer.core.TyperGroup):
                options = {option for parameter in group.params for option in parameter.opts}  # type: ignore[attr-defined]
                assert not word.startswith("--") or word in options, " ".join(arguments)
                continue
            assert word in group.commands, " ".join(arguments)
            group = group.commands[word]


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    used_targets = {code.split()[1] for code in CODE if code.startswith("make ")}
    assert used_targets
    assert used_targets <= targets


def test_objects_that_kubectl_is_asked_for_are_in_the_base() -> None:
    files = sorted((REPOSITORY / "kubernetes" / "base").glob("*.yaml"))
    manifests = [manifest for path in files for manifest in yaml.safe_load_all(path.read_text())]
    objects = {
        (resource["kind"].lower(), resource["metadata"]["name"]) for resource in manifests if "metadata" in resource
    }
    named = {("lease", "thale-release-watch"), ("secret", "gateway-tls"), ("pvc", "store")}  # made by others
    for kind, name in re.findall(
        r"kubectl -n thale \w+ (\w+)[ /]([a-z][a-z-]+)(?=[ `;])", " ".join(f"`{c}`" for c in CODE)
    ):
        assert (kind, name) in objects | named, f"{kind} {name}"


def test_files_that_runbooks_name_are_there() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    paths = [
        code for code in CODE if re.fullmatch(r"(kubernetes|terraform|loadtests|observability|services)/[\w./-]+", code)
    ]
    assert paths
    for path in paths:
        assert any(file.startswith(path) for file in listed.splitlines()), path
