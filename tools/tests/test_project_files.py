"""Files for citation, licensing and contribution agree with the repository."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from thale._version import __version__

ROOT = Path(__file__).parents[2]


def code_owner_patterns() -> list[str]:
    lines = (ROOT / ".github/CODEOWNERS").read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def test_citation_has_the_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text()


def test_code_owners_name_existing_paths() -> None:
    missing = [pattern for pattern in code_owner_patterns() if not (ROOT / pattern.strip("/*")).exists()]
    assert missing == []


def test_dependabot_names_folders_with_manifests() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    manifests = {
        "pip": "pyproject.toml",
        "docker": "Dockerfile",
        "npm": "package-lock.json",
        "terraform": "*.tf",
        "github-actions": ".github/workflows",
    }
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert list((ROOT / folder.strip("/")).glob(manifests[update["package-ecosystem"]])), folder


def test_licence_text_is_the_same_for_reuse() -> None:
    assert (ROOT / "LICENSES/Apache-2.0.txt").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_issue_form_has_unique_ids_and_labels(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    fields = [element for element in content["body"] if element["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


def test_support_table_has_the_bounds_of_the_project() -> None:
    table = (ROOT / "docs/support.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    assert f"**{re.search(r'torchserve==([0-9.]+)', project)[1]}**" in table  # type: ignore[index]
    addons = (ROOT / "kubernetes/platform/addons.toml").read_text()
    envoy = re.search(r'name = "envoy-gateway-crds"\n.*\nversion = "([0-9.]+)"', addons)
    assert envoy is not None
    assert f"**{envoy[1]}**" in table


def test_readme_has_at_most_120_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github/workflows").glob("*.y*ml")), ids=lambda path: path.stem)
def test_workflow_calls_existing_make_targets(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    content = yaml.safe_load(workflow.read_text())
    steps = [step for job in content["jobs"].values() for step in job.get("steps", ())]
    called = re.findall(r"\bmake \"?([$a-zA-Z-]+)", "\n".join(step.get("run", "") for step in steps))
    if "$TARGET" in called:  # a choice of the person who starts it, or one of a matrix
        inputs = (content[True].get("workflow_dispatch") or {}).get("inputs")  # YAML 1.1 reads `on` as true
        called = inputs["target"]["options"] if inputs else content["jobs"]["check"]["strategy"]["matrix"]["target"]
    assert called or workflow.stem == "codeql"  # an analysis of GitHub
    assert set(called) <= targets


def test_workflows_pin_actions_by_commit() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in (ROOT / ".github/workflows").glob("*.yaml"):
        for action, pin in re.findall(r"uses: ([^@\s]+)@(.+)", workflow.read_text()):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), f"{workflow.name}: {action}@{pin}"
            pins.setdefault(action, set()).add(pin)
    assert {action: sorted(found) for action, found in pins.items() if len(found) > 1} == {}


def git(*arguments: str, folder: Path) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_promote_moves_the_next_branch_forward_only(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("init", "--quiet", "--bare", "origin.git", folder=tmp_path)
    git("clone", "--quiet", "origin.git", str(clone), folder=tmp_path)
    (clone / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for number in range(2):
        git("commit", "--quiet", "--allow-empty", "--message", f"{number}", folder=clone)
    tip = git("rev-parse", "HEAD", folder=clone)

    def promote(source: str) -> int:
        return subprocess.run(["make", "promote", f"FROM={source}"], cwd=clone, capture_output=True).returncode

    assert promote("development") == promote("testing") == 0
    assert promote("main") != 0
    assert git("rev-parse", "testing", folder=tmp_path / "origin.git") == tip
    assert git("rev-parse", "main", folder=tmp_path / "origin.git") == tip
    git("checkout", "--quiet", "HEAD~1", folder=clone)
    git("commit", "--quiet", "--allow-empty", "--message", "other", folder=clone)
    assert promote("development") != 0
    assert git("rev-parse", "testing", folder=tmp_path / "origin.git") == tip


def test_image_builds_the_web_page_from_sources() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!web", "**/node_modules", "services/thale/facade/api/web_files"} <= set(allowed)
    dockerfile = (ROOT / "services" / "Dockerfile").read_text()
    steps = ("npm --prefix web ci", "npm --prefix web run build", "uv build --wheel")
    assert sorted(steps, key=dockerfile.index) == list(steps)


def test_each_npm_package_has_an_exact_version() -> None:
    package = json.loads((ROOT / "web" / "package.json").read_text())
    locked = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    declared = {**package["dependencies"], **package["devDependencies"]}
    assert {name: locked[f"node_modules/{name}"]["version"] for name in declared} == declared
    assert [path for path, entry in locked.items() if path and not entry.get("integrity")] == []
