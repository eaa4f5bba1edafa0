"""A broad except is a boundary of a task or process: it states the reason and loses no error, or it raises again."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("services/thale", "model-server/thale_models", "deploy", "tools", "observability")
BROAD = {"Exception", "BaseException"}
REPORTERS = {
    "services/thale/facade/postprocess/worker_process.py": "Outcome",
    "services/thale/local/platform.py": "LocalPlatformError",
}
"""Boundaries that report the error to their caller, by the class that carries it. The caller logs or prints it."""
REASON = "isolation boundary"


def find_faults(source: str, reporter: str | None = None) -> Iterator[str]:
    """Yield the broad excepts of a source that hide an error, or that state no reason."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler) or not _is_broad(node.type):
            continue
        calls = [ast.unparse(call.func) for part in node.body for call in ast.walk(part) if isinstance(call, ast.Call)]
        if _always_raises(node.body):
            continue
        if not any(call.startswith("logger.") or call == reporter for call in calls):
            yield f"line {node.lineno} neither raises the error nor logs it"
        if REASON not in lines[node.lineno - 2].lower():
            yield f"line {node.lineno} has no comment above it with the words {REASON!r}"


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    return any(ast.unparse(part) in BROAD for part in (caught.elts if isinstance(caught, ast.Tuple) else [caught]))


def _always_raises(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Raise)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_broad_excepts_are_isolation_boundaries(folder: str) -> None:
    sources = [path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts]
    assert sources
    names = {str(path.relative_to(ROOT)): path for path in sources}
    found = {name: list(find_faults(path.read_text(), REPORTERS.get(name))) for name, path in names.items()}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("handler", "faults"),
    [
        ("except Exception:\n    pass", 2),
        ("except:\n    return None", 2),
        ("except (OSError, Exception):\n    pass", 2),
        ("# Isolation boundary of this thread: the next read repeats it.\nexcept Exception:\n    pass", 1),
        ("except Exception:\n    logger.exception('read failed')", 1),
        ("# Isolation boundary of this thread: the next read repeats it.\nexcept Exception:\n    logger.error('x')", 0),
        ("except BaseException:\n    close()\n    raise", 0),
        ("except BaseException as error:\n    raise ValueError from error", 0),
        ("except OSError:\n    pass", 0),
    ],
)
def test_find_faults_knows_broad_excepts(handler: str, faults: int) -> None:
    source = f"def read():\n  try:\n    read()\n  {handler.replace(chr(10), chr(10) + '  ')}\n"
    assert len(list(find_faults(source))) == faults
