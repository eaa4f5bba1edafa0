"""The images themselves, built and run. Minutes of processor time, so only for who asks for it."""

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
from tools.container_check.stack import MODEL_SERVER, SERVICES, USER, ContainerStack, Engine, run_stack

ROOT = Path(__file__).parents[3]
OPT_IN_VARIABLE = "THALE_TEST_IMAGES"
TAG = os.environ.get("TAG", "dev")

if os.environ.get(OPT_IN_VARIABLE) != "1" or shutil.which("podman") is None:
    pytest.skip(
        f"images are built and run where podman is (apt-get install podman) and {OPT_IN_VARIABLE}=1 asks for it",
        allow_module_level=True,
    )
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return podman, with both images built. BUILD_FLAGS, RUN_FLAGS and TAG are the Makefile's."""
    subprocess.run(["make", "images", "ENGINE=podman", f"TAG={TAG}"], cwd=ROOT, check=True)
    return Engine("podman", shlex.split(os.environ.get("RUN_FLAGS", "")))


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[ContainerStack]:
    with run_stack(engine, TAG) as running_stack:
        yield running_stack


def run_python(stack: ContainerStack, container: str, code: str) -> str:
    """Return what Python says in a container."""
    return stack.engine.run_command("exec", container, "python", "-c", code).strip()


def test_a_drawn_plate_is_measured_as_it_was_drawn(stack: ContainerStack) -> None:
    plate = draw_smoke_plate()
    with Client(stack.url) as client:
        wrong = [
            check for check in compare_traits(client.phenotype(plate.encoded), plate) if not check.is_within_tolerance
        ]
    assert not wrong


def test_neither_container_can_do_or_write_anything(stack: ContainerStack) -> None:
    for container in (stack.model_server, stack.facade):
        status = run_python(stack, container, "print(open('/proc/1/status').read())")
        told = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert told["Uid"].split() == [USER] * 4
        assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0
        assert told["NoNewPrivs"] == "1"
        mounts = run_python(stack, container, "print(open('/proc/1/mounts').read())")
        [root] = [line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/"]
        assert "ro" in root.split(",")


def test_the_model_servers_first_process_is_java_and_its_workers_are_thales(stack: ContainerStack) -> None:
    assert run_python(stack, stack.model_server, "print(open('/proc/1/comm').read())") == "java"
    workers = (
        "import pathlib; print(*(p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')), sep='\\n')"
    )
    assert run_python(stack, stack.model_server, workers).count("thale_models.worker") == 2


def test_torchserve_and_its_workers_log_json(stack: ContainerStack) -> None:
    lines = stack.engine.run_command("logs", stack.model_server).splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"org.pytorch.serve.ModelServer", "thale_models.handlers.request"} <= {line["logger"] for line in told}


def test_what_is_inside_can_be_read_out(engine: Engine) -> None:
    for name in (SERVICES, MODEL_SERVER):
        python, debian = (engine.sbom(f"{name}:{TAG}", of) for of in ("python", "debian"))
        packages = {component["name"].lower() for component in python["components"]}
        assert python["bomFormat"] == debian["bomFormat"] == "CycloneDX"
        assert python["metadata"]["component"]["name"] == "thale"
        assert {"numpy", "pydantic"} <= packages
        assert ("torch" in packages) is (name == MODEL_SERVER)
        assert not {"pip", "pytest", "mypy", "uv"} & packages
        assert "libc6" in {component["name"] for component in debian["components"]}


def test_everything_inside_is_of_the_version_that_the_constraints_say(engine: Engine) -> None:
    def named(name: str) -> str:
        return name.lower().replace("_", "-").replace(".", "-")

    lines = (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {named(name): version for name, version in lines}
    for image in (SERVICES, MODEL_SERVER):
        components = engine.sbom(f"{image}:{TAG}", "python")["components"]
        installed = {named(told["name"]): told["version"].partition("+")[0] for told in components}
        assert installed == {name: pinned.get(name) for name in installed}


def test_both_end_by_themselves_soon_after_they_are_asked_to(stack: ContainerStack) -> None:
    assert stack.time_to_stop(stack.facade) < 30
    assert stack.time_to_stop(stack.model_server) < 30
