"""Import tests: no import cycles, and no torch in the facade, whose image does not contain it."""

import graphlib
import subprocess
import sys

import grimp

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


def test_modules_have_no_import_cycles() -> None:
    # import-linter's `acyclic_siblings` ignores a cycle between a package and its own module.
    graph = grimp.build_graph("thale", "thale_models", "deploy", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    list(graphlib.TopologicalSorter(imports).static_order())
