"""Both images, built and run. The tests take minutes of CPU time, so they are opt-in."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.smoke import compare_traits, draw_smoke_plate
from thale.client import Client
from tools.container_check.stack import MODEL_SERVER, SERVICES, USER, ContainerRunner, ContainerStack, run_stack

ROOT = Path(__file__).parents[3]
OPT_IN_VARIABLE = "THALE_TEST_IMAGES"
TAG = os.environ.get("TAG", "dev")

if os.environ.get(OPT_IN_VARIABLE) != "1" or shutil.which("podman") is None:
    pytest.skip(
        f"needs podman (apt-get install podman) and {OPT_IN_VARIABLE}=1",
        allow_module_level=True,
    )
pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def engine() -> ContainerRunner:
    """Return podman, with both images built. BUILD_FLAGS, RUN_FLAGS and TAG are those of the Makefile."""
    subprocess.run(["make", "images", "ENGINE=podman", f"TAG={TAG}"], cwd=ROOT, check=True)
    return ContainerRunner("podman", shlex.split(os.environ.get("RUN_FLAGS", "")))


@pytest.fixture(scope="module")
def stack(engine: ContainerRunner) -> Iterator[ContainerStack]:
    with run_stack(engine, TAG) as running_stack:
        yield running_stack


def run_python(stack: ContainerStack, container: str, code: str) -> str:
    """Run Python code in a container and return its output."""
    return stack.engine.run_command("exec", container, "python", "-c", code).strip()


def test_images_measure_synthetic_plate_correctly(stack: ContainerStack) -> None:
    plate = draw_smoke_plate()
    with Client(stack.url, api_key=stack.api_key) as client:
        failed = [
            check for check in compare_traits(client.phenotype(plate.encoded), plate) if not check.is_within_tolerance
        ]
    assert not failed


def test_containers_run_without_privileges(stack: ContainerStack) -> None:
    for container in (stack.model_server, stack.facade):
        status = run_python(stack, container, "print(open('/proc/1/status').read())")
        fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [USER] * 4
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
        assert fields["NoNewPrivs"] == "1"
        mounts = run_python(stack, container, "print(open('/proc/1/mounts').read())")
        [root] = [line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/"]
        assert "ro" in root.split(",")


def test_model_server_runs_java_and_thale_workers(stack: ContainerStack) -> None:
    assert run_python(stack, stack.model_server, "print(open('/proc/1/comm').read())") == "java"
    workers = (
        "import pathlib; print(*(p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')), sep='\\n')"
    )
    assert run_python(stack, stack.model_server, workers).count("thale_models.worker") == 2


def test_torchserve_and_workers_log_json(stack: ContainerStack) -> None:
    lines = stack.engine.run_command("logs", stack.model_server).splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"org.pytorch.serve.ModelServer", "thale_models.handlers.request"} <= {
        record["logger"] for record in records
    }


def test_sbom_lists_the_packages(engine: ContainerRunner) -> None:
    for name in (SERVICES, MODEL_SERVER):
        python, debian = (engine.sbom(f"{name}:{TAG}", ecosystem) for ecosystem in ("python", "debian"))
        packages = {component["name"].lower() for component in python["components"]}
        assert python["bomFormat"] == debian["bomFormat"] == "CycloneDX"
        assert python["metadata"]["component"]["name"] == "thale"
        assert {"numpy", "pydantic"} <= packages
        assert ("torch" in packages) is (name == MODEL_SERVER)
        assert not {"pip", "pytest", "mypy", "uv"} & packages
        assert "libc6" in {component["name"] for component in debian["components"]}


def test_installed_versions_match_the_constraints(engine: ContainerRunner) -> None:
    def normalise(name: str) -> str:
        return name.lower().replace("_", "-").replace(".", "-")

    lines = (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {normalise(name): version for name, version in lines}
    for image in (SERVICES, MODEL_SERVER):
        components = engine.sbom(f"{image}:{TAG}", "python")["components"]
        installed = {normalise(each["name"]): each["version"].partition("+")[0] for each in components}
        assert installed == {name: pinned.get(name) for name in installed}


def test_containers_stop_soon_after_sigterm(stack: ContainerStack) -> None:
    assert stack.time_to_stop(stack.facade) < 30
    assert stack.time_to_stop(stack.model_server) < 30
