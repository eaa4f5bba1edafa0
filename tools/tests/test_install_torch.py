"""The order of the sources of torch, with stand-ins for pip and uv that record their calls."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "install-torch"
_PYTHON = """#!/bin/sh
echo "pip $*" >> "$CALLS"
case "$*" in *--no-index*) exit "$LOCAL_STATUS" ;; esac
"""
_UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
exit "$INDEX_STATUS"
"""


@pytest.mark.parametrize(
    ("local", "index", "sources", "announced"),
    [
        (0, 1, ["pip"], "wheels of this machine"),
        (1, 0, ["pip", "uv"], "without CUDA"),
        (1, 1, ["pip", "uv"], "3 GB to download"),
    ],
)
def test_torch_without_cuda_comes_first(
    tmp_path: Path, local: int, index: int, sources: list[str], announced: str
) -> None:
    for name, program in (("python", _PYTHON), ("uv", _UV)):
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    variables = {"CALLS": str(tmp_path / "calls"), "LOCAL_STATUS": str(local), "INDEX_STATUS": str(index)}
    completed = subprocess.run(
        [SCRIPT, tmp_path / "python", tmp_path / "uv"],
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls[: len(sources)]] == sources
    assert ("--torch-backend cpu" in "".join(calls)) == ("uv" in sources)
    assert "--constraint constraints.txt" in calls[len(sources)]
    assert announced in completed.stdout
