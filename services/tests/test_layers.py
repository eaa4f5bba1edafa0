"""The facade's image holds no torch: what the facade imports must do without."""

import subprocess
import sys

_HEAVY = ("torch", "openvino", "ts", "thale_models", "thale.local", "thale.cli", "thale.client")


def test_the_facade_runs_without_torch_and_without_what_starts_it() -> None:
    code = (
        "import sys, thale.facade.__main__, thale.facade.app, thale.facade.postprocess.worker\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_facade_reads_no_setting_and_starts_nothing() -> None:
    code = (
        "import threading, multiprocessing, thale.facade.__main__, thale.facade.app\n"
        "print(threading.active_count(), multiprocessing.active_children())"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
