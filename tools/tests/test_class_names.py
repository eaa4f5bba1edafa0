"""Class names: a name has one meaning in the repository."""

import ast
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def find_classes(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return the files of each public class name at the top level of a module."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(str(path.relative_to(ROOT)))
    return files


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def is_test(path: Path) -> bool:
    return path.stem.startswith("test_") or path.stem == "conftest"


@pytest.mark.slow
def test_programs_define_each_class_name_once() -> None:
    """Programs include the fakes in tests/support: a reader must not take one class for another."""
    classes = find_classes(path for path in tracked_files() if not is_test(path))
    assert len(classes) > 500
    assert {name: files for name, files in classes.items() if len(files) > 1} == {}


@pytest.mark.slow
def test_tests_define_no_class_name_of_programs() -> None:
    programs = find_classes(path for path in tracked_files() if not is_test(path))
    tests = find_classes(path for path in tracked_files() if is_test(path))
    assert {name: programs[name] + tests[name] for name in programs.keys() & tests.keys()} == {}
