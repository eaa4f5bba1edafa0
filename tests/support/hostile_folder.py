"""A folder with scripts named like modules. Each writes a marker file when it is imported."""

from pathlib import Path

_PROGRAM = "import pathlib; pathlib.Path(__file__).with_name('executed').touch(); raise RuntimeError(__file__)"
# Modules that the standard library and thale's dependencies import. `python -m` itself imports some others first.
_NAMES = (
    *("random", "numbers", "secrets", "json", "signal", "socket", "queue", "statistics", "string", "logging"),
    *("typer", "rich", "numpy", "pydantic", "multiprocessing", "email", "http", "tempfile", "subprocess", "token"),
    *("asyncio", "ctypes", "copy", "calendar", "bisect", "csv", "enum"),
    *("selectors", "select", "platform", "dataclasses"),
)


def write_hostile_modules(folder: Path) -> None:
    """Write a script for each name."""
    for name in _NAMES:
        (folder / f"{name}.py").write_text(_PROGRAM)


def was_executed(folder: Path) -> bool:
    """Return True if one of the scripts was imported."""
    return (folder / "executed").exists()
