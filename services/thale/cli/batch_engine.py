"""Start of the batch engine of `thale experiment run --engine dask`.

thale imports neither Dask nor `thale_models`. The engine is a program of its own, which replaces this process: signals
then reach it, and nothing of it is left after a kill.
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thale.errors import MissingPackageError, ParameterError
from thale.host.interpreter import child_environment, python_command

if TYPE_CHECKING:
    from thale.schemas.experiment import JobRequest

_REQUIRED_PACKAGES = ("distributed", "thale_models", "openvino", "sqlalchemy")


def replace_with_engine(
    request: "JobRequest", home: Path | None, workers: int | None, scheduler: str | None
) -> NoReturn:
    """Replace this process with the batch engine.

    Raises:
        ParameterError: If processes are requested, and a scheduler, which has its own.
        MissingPackageError: If a package of the engine is not installed.
    """
    if workers is not None and scheduler is not None:
        raise ParameterError("the scheduler has its own workers: pass --workers or --scheduler")
    missing = [name for name in _REQUIRED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"the engine dask needs packages that are not installed ({', '.join(missing)}): "
            "pip install torch==2.13.0 && pip install 'thale[batch]'"
        )
    command = python_command("-m", "thale_models.batch", "--request", request.model_dump_json())
    options = {"--home": home, "--workers": workers, "--scheduler": scheduler}
    for option, value in options.items():
        if value is not None:
            command += [option, str(value)]
    os.execve(command[0], command, child_environment())  # noqa: S606 (the interpreter of this process)
