"""TorchServe's worker program without torch: 1.5 s less processor time at the start of each worker.

TorchServe starts its workers as `PYTHON …/model_service_worker.py …`, and a program that calls
`python -m thale_models.worker` may stand in for PYTHON (`thale.local.commands` writes one). TorchServe's codec imports
torch to recognise answers that are tensors; a thale handler answers bytes. Here the codec gets torch only when it asks
for something of it. All other code, a user's own handler included, imports torch as ever.
"""

import importlib
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_WORKER = "model_service_worker.py"
_CODEC = "ts.protocol.otf_message_handler"


class _LazyTorch(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def main(arguments: Sequence[str]) -> None:
    """Run TorchServe's worker with the words of its command line, and anything else as Python would."""
    if not arguments or Path(arguments[0]).name != _WORKER:
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 (TorchServe's own command)
    sys.modules["torch"] = _LazyTorch("torch")
    importlib.import_module(_CODEC)
    del sys.modules["torch"]
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
