"""Tests of the interpreters that thale starts: none imports from the current folder."""

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hostile_folder import was_executed, write_hostile_modules
from thale.host.interpreter import child_environment, python_command

ROOT = Path(__file__).parents[3]
FOLDERS = ("services", "model-server", "loadtests", "tools", "observability", "deploy", "benchmarks", "terraform")
ALLOWED = {
    "services/thale/host/interpreter.py",
    "services/thale/local/background_process.py",  # the guard runs with -I
    "deploy/cluster.py",  # with -P
    "deploy/platform.py",  # in the root of the repository, whose package `deploy` is not installed
    "deploy/summary.py",  # a script by its path, which excludes the current folder
    "tools/mutation.py",  # in a copy of the repository, which it tests
}
# Process pools inherit the settings of their parent. Its entry point excludes the current folder, or is `python -P`.
POOLS = {
    "services/thale/facade/postprocess/worker_pool.py",
    "model-server/thale_models/synthesis/dataset_writer.py",
    "benchmarks/judge_error_rates.py",  # forks
}
ENTRY_POINTS = {
    "services/thale/__main__.py",
    "services/thale/cli/app.py",
    "services/thale/facade/__main__.py",
    "model-server/thale_models/cli.py",
}


def program_files() -> list[Path]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [path for path in files if "tests" not in path.parts and ".terraform" not in path.parts]


@functools.cache
def find_names(path: Path) -> frozenset[str]:
    """Return the names in a file, as `NAME` and `MODULE.NAME`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add(f"{node.value.id}.{node.attr}")
    return frozenset(names)


def uses(path: Path, names: set[str]) -> bool:
    """Return True if a file has one of these names."""
    return not names.isdisjoint(find_names(path))


@pytest.mark.slow
def test_programs_start_interpreters_with_python_command_only() -> None:
    files = program_files()
    assert len(files) > 200
    found = {str(path.relative_to(ROOT)) for path in files if uses(path, {"sys.executable", "multiprocessing.spawn"})}
    assert found == ALLOWED


@pytest.mark.slow
def test_process_pools_are_in_programs_that_exclude_folder() -> None:
    names = {"multiprocessing.get_context", "ProcessPoolExecutor", "multiprocessing.Pool", "multiprocessing.Process"}
    assert {str(path.relative_to(ROOT)) for path in program_files() if uses(path, names)} == POOLS
    assert {str(path.relative_to(ROOT)) for path in program_files() if uses(path, {"exclude_current_folder"})} == (
        ENTRY_POINTS
    )


@pytest.mark.parametrize("name", ["services", "model-server"])
def test_images_exclude_current_folder(name: str) -> None:
    assert "PYTHONSAFEPATH=1" in (ROOT / name / "Dockerfile").read_text()


def test_child_environment_removes_empty_entries_of_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}/a{os.pathsep}")
    assert (child_environment()["PYTHONPATH"], child_environment()["PYTHONSAFEPATH"]) == ("/a", "1")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pool_of_safe_interpreter_ignores_current_folder(tmp_path: Path, method: str) -> None:
    program = tmp_path / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(
        "import multiprocessing, sys\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context({method!r}).Pool(1) as pool: print(pool.map(abs, [-1]))\n"
    )
    (tmp_path / "hostile").mkdir()
    write_hostile_modules(tmp_path / "hostile")
    completed = subprocess.run(
        python_command(str(program)), cwd=tmp_path / "hostile", capture_output=True, text=True, timeout=120
    )
    assert completed.stdout == "[1]\n", completed.stderr
    assert not was_executed(tmp_path / "hostile")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [str(Path(sys.executable).parent / "thale"), "--version"],
        [sys.executable, "-m", "thale", "--version"],
        [sys.executable, "-m", "thale", "release", "--home", "HOME", "list"],
        [sys.executable, "-m", "thale", "capacity", "--rps", "1", "--no-day"],
        [str(Path(sys.executable).parent / "thale-models"), "archive", "--help"],
    ],
    ids=["thale", "python-m", "release-list", "capacity", "thale-models"],
)
def test_commands_ignore_modules_in_current_folder(tmp_path: Path, command: list[str]) -> None:
    write_hostile_modules(tmp_path)
    arguments = [argument.replace("HOME", str(tmp_path / "home")) for argument in command]
    completed = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert completed.returncode == 0, completed.stderr
    assert not was_executed(tmp_path)


@pytest.mark.slow
def test_facade_ignores_modules_in_current_folder(tmp_path: Path) -> None:
    write_hostile_modules(tmp_path)
    command = [sys.executable, "-m", "thale.facade"]
    variables = {**os.environ, "THALE_PORT": "-1"}
    completed = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=240)
    assert completed.returncode == 2, completed.stderr  # invalid settings, after the import of all dependencies
    assert not was_executed(tmp_path)
