"""Tests of the worker program with the lazy import of torch."""

import subprocess
import sys
from pathlib import Path

import pytest

CODEC_PROGRAM = """
import sys
from ts.protocol.otf_message_handler import create_predict_response
assert sys.argv[1:] == ["--sock-type", "unix"], sys.argv
print("torch" in sys.modules)
create_predict_response([{response}], {{0: "id"}}, "ok", 200)
print("torch" in sys.modules)
"""


def run_worker(folder: Path, program: str, *arguments: str, name: str = "model_service_worker.py") -> str:
    script = folder / name
    script.write_text(program)
    command = [sys.executable, "-m", "thale_models.worker", str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("response", "is_imported"), [('b"bytes"', "False"), ('"text"', "False"), ("[0.5]", "True")])
def test_worker_imports_torch_only_for_possible_tensors(tmp_path: Path, response: str, is_imported: str) -> None:
    assert run_worker(tmp_path, CODEC_PROGRAM.format(response=response), "--sock-type", "unix").split() == [
        "False",
        is_imported,
    ]


@pytest.mark.slow
def test_worker_imports_the_real_torch_for_handlers(tmp_path: Path) -> None:
    program = "import torch; from torch import nn; print(nn.Linear(2, 3)(torch.zeros(1, 2)).shape[1])"
    assert run_worker(tmp_path, program).split() == ["3"]


@pytest.mark.slow
def test_handlers_import_no_slow_packages() -> None:
    slow = ("torch", "scipy.spatial", "scipy.signal", "scipy.optimize", "skimage", "thale_models.synthesis")
    program = (
        "import sys, thale_models.handlers.segment, thale_models.handlers.landmarks\n"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"


def test_worker_runs_other_programs_like_python(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1:], __name__)"
    assert run_worker(tmp_path, program, "-x", name="metric_collector.py").strip() == "['-x'] __main__"
