"""The worker program: torch is there for whoever asks, and for nobody else."""

import subprocess
import sys
from pathlib import Path

import pytest

CODEC_PROGRAM = """
import sys
from ts.protocol.otf_message_handler import create_predict_response
assert sys.argv[1:] == ["--sock-type", "unix"], sys.argv
print("torch" in sys.modules)
create_predict_response([{answer}], {{0: "id"}}, "ok", 200)
print("torch" in sys.modules)
"""


def run_worker(folder: Path, program: str, *arguments: str, name: str = "model_service_worker.py") -> str:
    script = folder / name
    script.write_text(program)
    command = [sys.executable, "-m", "thale_models.worker", str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("answer", "after"), [('b"bytes"', "False"), ('"text"', "False"), ("[0.5]", "True")])
def test_only_an_answer_that_may_be_a_tensor_imports_torch(tmp_path: Path, answer: str, after: str) -> None:
    assert run_worker(tmp_path, CODEC_PROGRAM.format(answer=answer), "--sock-type", "unix").split() == ["False", after]


def test_a_handler_that_imports_torch_gets_all_of_it(tmp_path: Path) -> None:
    program = "import torch; from torch import nn; print(nn.Linear(2, 3)(torch.zeros(1, 2)).shape[1])"
    assert run_worker(tmp_path, program).split() == ["3"]


def test_what_is_no_worker_runs_as_with_python(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1:], __name__)"
    assert run_worker(tmp_path, program, "-x", name="metric_collector.py").strip() == "['-x'] __main__"
