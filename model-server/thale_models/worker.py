"""TorchServe's worker program with a lazy import of torch: 1.5 s less CPU time per worker start.

TorchServe starts a worker as `PYTHON …/model_service_worker.py …`. PYTHON may be a launcher that calls
`python -m thale_models.worker` (`thale.local.commands` writes one). TorchServe's codec imports torch to recognise
tensors in responses, and a thale handler returns bytes. Here the codec gets a proxy that imports torch on first use.
All other code imports torch normally, including handlers of users (docs/adr/0010-minimal-imports-at-start.md).
"""

import importlib
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from thale.host.interpreter import python_command

_WORKER = "model_service_worker.py"
_CODEC = "ts.protocol.otf_message_handler"


class _LazyTorch(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def main(arguments: Sequence[str]) -> None:
    """Run TorchServe's worker with the arguments of its command line. Run any other program like Python."""
    if not arguments or Path(arguments[0]).name != _WORKER:
        command = python_command(*arguments)
        os.execv(command[0], command)  # noqa: S606 (TorchServe's own command)
    sys.modules["torch"] = _LazyTorch("torch")
    importlib.import_module(_CODEC)
    del sys.modules["torch"]
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
