"""Sizes of modules and functions: a module has one topic, and a function fits on a screen."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
"""Lines without those of the docstring."""


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def find_long_functions(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = end_line(node) - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= end_line(node.body[0]) - node.body[0].lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"{node.name} has {lines} lines"


def end_line(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked_files()}
    assert len(lengths) > 500
    long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES}
    assert long == {}, "divide the module by topic"


@pytest.mark.slow
def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {function}"
        for path in tracked_files()
        for function in find_long_functions(path.read_text(encoding="utf-8"))
    ]
    assert long == [], "extract a function with a name"


@pytest.mark.parametrize(("lines", "expected"), [(49, []), (50, ["long has 51 lines"])])
def test_find_long_functions_counts_no_docstring(lines: int, expected: list[str]) -> None:
    text = 'def long() -> None:\n    """First.\n\n    Second.\n    """\n' + "    print()\n" * lines
    assert list(find_long_functions(text)) == expected
