"""Import tests: the facade's image contains no torch, so its imports must not need it."""

import subprocess
import sys

_HEAVY = ("torch", "openvino", "ts", "thale_models", "thale.local", "thale.cli", "thale.client")


def test_facade_imports_neither_torch_nor_upper_layers() -> None:
    code = (
        "import sys, thale.facade.__main__, thale.facade.app, thale.facade.postprocess.worker\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_facade_import_reads_no_settings_and_starts_nothing() -> None:
    code = (
        "import threading, multiprocessing, thale.facade.__main__, thale.facade.app\n"
        "print(threading.active_count(), multiprocessing.active_children())"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
