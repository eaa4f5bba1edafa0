"""How the services are started: what stands for Python when TorchServe starts a worker."""

import subprocess
from pathlib import Path

from thale.laptop.commands import worker_program
from thale.laptop.home import Home


def test_the_worker_program_runs_a_worker_wherever_the_home_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "it's a $HOME")
    home.torchserve.mkdir(parents=True)
    script = tmp_path / "my scripts" / "model_service_worker.py"
    script.parent.mkdir()
    script.write_text("import sys; print(sys.argv[1:], 'thale_models.worker' in sys.argv[0], __name__)")
    for _ in ("written", "written over"):
        command = [worker_program(home), script, "a b", "--sock-type"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "['a b', '--sock-type'] False __main__\n"
