"""Packages: no import cycles, few entries, and no torch in the facade, whose image does not contain it."""

import functools
import graphlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grimp
import pytest

import thale

THALE = Path(thale.__file__).parent
_HEAVY = ("torch", "openvino", "ts", "thale_models", "thale.local", "thale.cli", "thale.client")


@functools.cache
def import_facade() -> Mapping[str, Any]:
    """Import the facade in a process without environment variables; return what it loaded and started."""
    code = (
        "import json, multiprocessing, sys, threading\n"
        "import thale.facade.__main__, thale.facade.app, thale.facade.postprocess.worker\n"
        f"heavy = [name for name in {_HEAVY!r} if name in sys.modules]\n"
        "processes = len(multiprocessing.active_children())\n"
        "print(json.dumps({'heavy': heavy, 'threads': threading.active_count(), 'processes': processes}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_facade_imports_neither_torch_nor_upper_layers() -> None:
    assert import_facade()["heavy"] == []


@pytest.mark.slow
def test_facade_import_reads_no_settings_and_starts_nothing() -> None:
    assert (import_facade()["threads"], import_facade()["processes"]) == (1, 0)


def test_modules_have_no_import_cycles() -> None:
    # import-linter's `acyclic_siblings` ignores a cycle between a package and its own module.
    graph = grimp.build_graph("thale", "thale_models", "deploy", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    list(graphlib.TopologicalSorter(imports).static_order())


def list_entries(folder: Path) -> tuple[set[str], set[str]]:
    """Return the modules and the packages in a package. Modules such as `__init__` belong to the package itself."""
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return modules, packages


def test_thale_has_few_modules_outside_its_packages() -> None:
    modules, packages = list_entries(THALE)
    assert len(packages) > 10
    assert len(modules) <= 6, "move related modules into a package that is named after their concept"


def test_facade_has_few_entries() -> None:
    modules, packages = list_entries(THALE / "facade")
    assert "pipeline" in modules
    assert len(modules | packages) <= 16, "move related modules into a package that is named after their concept"


def test_modules_of_the_reconstruction_have_unit_tests() -> None:
    modules, _ = list_entries(THALE / "phenotyping" / "plants")
    tests = {
        path.stem.removeprefix("test_") for path in (Path(__file__).parent / "phenotyping" / "plants").glob("*.py")
    }
    assert len(modules) > 10
    assert modules - tests == set()
