"""Python interpreters that thale starts: they never import from the current folder.

A user runs thale in a folder with scripts. Without these precautions `python -m`, `python -c` and the child processes
of multiprocessing put that folder first on `sys.path`, and execute a `random.py` in it instead of the standard
library's (docs/adr/0075-no-imports-from-the-current-folder.md).

This module imports only what every interpreter has loaded before its first line: it runs before the folder is removed.
"""

import os
import sys

_SAFE_PATH = "PYTHONSAFEPATH"


def python_command(*arguments: str) -> list[str]:
    """Return the command of a Python interpreter that does not import from the current folder (`-P`)."""
    return [sys.executable, "-P", *arguments]


def child_environment() -> dict[str, str]:
    """Return the environment for child processes: no interpreter below them imports from the current folder.

    An empty entry of PYTHONPATH is the current folder, and often the accident of an unset variable
    (`PYTHONPATH=$PYTHONPATH:/path`). It is removed.
    """
    environment = {**os.environ, _SAFE_PATH: "1"}
    if "PYTHONPATH" in environment:
        entries = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if entry)
    return environment


def exclude_current_folder() -> None:
    """Exclude the current folder from the imports of this process and of all child processes.

    Entry points call it first, before any other import. `python -m` imports `runpy` before that, which no program can
    prevent: `thale` and `python -P -m thale` exclude the folder from the start.
    """
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 (pathlib is not loaded yet)
        del sys.path[0]
    os.environ.update(child_environment())
