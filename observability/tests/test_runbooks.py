"""Runbooks: one heading per alert, the standard sections, and commands, targets, objects and files that exist."""

import re
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from thale.cli.app import app
from tools.generate.runbook_urls import read_base_url

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "observability" / "runbooks.md").read_text()
HEARTBEAT = list(
    yaml.safe_load_all((REPOSITORY / "kubernetes/platform/manifests/heartbeat/heartbeat.yaml").read_text())
)
SECTION_TITLES = ("Meaning.", "Impact.", "Diagnosis.", "Mitigation.", "Verification.")
SECTIONS = {
    heading: body for heading, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
CODE = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))


def alert_names() -> set[str]:
    files = (REPOSITORY / "observability" / "rules").glob("*.yaml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    groups += [group for found in HEARTBEAT if found["kind"] == "PrometheusRule" for group in found["spec"]["groups"]]
    names = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    return names | set(re.findall(r'"(Thale\w+)"', (REPOSITORY / "terraform/azure/observability.tf").read_text()))


def test_link_of_each_alert_names_a_heading() -> None:
    files = [*(REPOSITORY / "observability" / "rules").glob("*.yaml"), REPOSITORY / "kubernetes/base/rules.yaml"]
    links = [link for path in files for link in re.findall(r"runbook_url: (\S+)", path.read_text())]
    anchors = {heading.lower() for heading in SECTIONS}
    assert links
    for link in links:
        page, _, anchor = link.partition("#")
        assert page == read_base_url()
        assert anchor in anchors


def test_alerts_and_runbooks_correspond() -> None:
    assert SECTIONS.keys() == alert_names()


@pytest.mark.parametrize("heading", SECTIONS)
def test_runbook_has_the_five_sections_and_a_query(heading: str) -> None:
    titles = re.findall(r"\*\*([^*]+)\*\*", SECTIONS[heading])
    assert tuple(titles) == SECTION_TITLES
    assert re.search("```(promql|kusto)", SECTIONS[heading]) or heading == "ThaleRolloutStuck"


def test_runbook_links_refer_to_headings() -> None:
    links = re.findall(r"\[(\w+)\]\(#(\w+)\)", TEXT)
    assert links
    for name, anchor in links:
        assert name in SECTIONS
        assert anchor == name.lower()


def test_runbook_thale_commands_exist() -> None:
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


def test_runbook_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    used_targets = {code.split()[1] for code in CODE if code.startswith("make ")}
    assert used_targets
    assert used_targets <= targets


def test_runbook_kubernetes_objects_exist_in_the_base() -> None:
    files = sorted((REPOSITORY / "kubernetes" / "base").glob("*.yaml"))
    manifests = [manifest for path in files for manifest in yaml.safe_load_all(path.read_text())]
    objects = {
        (resource["kind"].lower(), resource["metadata"]["name"]) for resource in manifests if "metadata" in resource
    }
    # Created by the controller, by cert-manager and by an overlay.
    other_objects = {("lease", "thale-release-watch"), ("secret", "gateway-tls"), ("pvc", "store")}
    other_objects |= {("alertmanagerconfig", "heartbeat")}  # kubernetes/platform
    for kind, name in re.findall(
        r"kubectl -n thale \w+ (\w+)[ /]([a-z][a-z-]+)(?=[ `;])", " ".join(f"`{c}`" for c in CODE)
    ):
        assert (kind, name) in objects | other_objects, f"{kind} {name}"


def test_runbook_files_exist() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    paths = [
        code for code in CODE if re.fullmatch(r"(kubernetes|terraform|loadtests|observability|services)/[\w./-]+", code)
    ]
    assert paths
    for path in paths:
        assert any(file.startswith(path) for file in listed.splitlines()), path
