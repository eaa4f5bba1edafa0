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


class _TorchWhenAsked(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def main(words: Sequence[str]) -> None:
    """Run TorchServe's worker with the words of its command line, and anything else as Python would."""
    if not words or Path(words[0]).name != _WORKER:
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 (TorchServe's own command)
    sys.modules["torch"] = _TorchWhenAsked("torch")
    importlib.import_module(_CODEC)
    del sys.modules["torch"]
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
