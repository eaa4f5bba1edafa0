"""Manifests of the check on kind, and the targets and actions of its workflow."""

import re
from pathlib import Path

import pytest
import yaml

from tests.kind.rollout_check import VERSION, build_archive, command_pod
from tests.kubernetes.test_pods import rule_violations
from tests.support.manifests import of_kind, overlay
from tests.support.strict_schemas import schema_faults

REPOSITORY = Path(__file__).parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yaml"))


def test_command_pod_has_rights_and_labels_of_the_controller() -> None:
    controller = of_kind(overlay("laptop"), "Deployment")["release-watcher"]
    pod = command_pod(controller, "canary", ["canary", "plate-seg", "1.0.1"])
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "release"
    assert pod["spec"]["serviceAccountName"] == "release-watcher"
    (container,) = pod["spec"]["containers"]
    assert container["command"][:2] == ["thale", "release"]
    pod["spec"]["volumes"] = [volume for volume in pod["spec"]["volumes"] if volume["name"] != "store"]
    assert {*rule_violations(pod["spec"], container)} == {
        f"has a {name} probe" for name in ("liveness", "readiness", "startup")
    }
    assert "containers" in controller["spec"]["template"]["spec"], "the template is copied"
    assert not schema_faults({**pod, "metadata": {**pod["metadata"], "namespace": "thale"}})


@pytest.mark.slow
def test_archive_of_the_check_has_the_new_version(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    assert archive.name == f"plate-seg-{VERSION}.mar"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_pins_actions_and_calls_make_targets(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for uses in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses), f"{uses} is not pinned by digest"
    used = set(re.findall(r"run: make ([a-z-]+)", text))
    assert used <= targets
    for job in yaml.safe_load(text)["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert "run" not in step or re.search(r"make |apt-get|df ", step["run"]), step["run"]
