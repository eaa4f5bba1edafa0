"""Start of the batch engine of `thale experiment run --engine dask` and `thale analyze --engine dask`.

thale imports neither Dask nor `thale_models`. The engine is a program of its own, which replaces this process: signals
then reach it, and nothing of it is left after a kill.
"""

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thale.errors import MissingPackageError, ParameterError
from thale.host.interpreter import child_environment, python_command

if TYPE_CHECKING:
    from thale.cli.analyze import AnalyzeOptions
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
    command = ["-m", "thale_models.batch", "--request", request.model_dump_json()]
    _replace_process(command, {"--home": home, "--workers": workers, "--scheduler": scheduler})


def replace_with_analysis(options: "AnalyzeOptions", workers: int | None) -> NoReturn:
    """Replace this process with the batch engine, which measures images into a folder of results.

    Raises:
        ParameterError: If an option needs a server.
        MissingPackageError: If a package of the engine is not installed.
    """
    of_server = {"--server or THALE_SERVER": options.server} | {
        f"--{name.replace('_', '-')}": options.parameters.get(name)
        for name in ("model", "experiment", "strict", "timeout_s")
    }
    if given := [name for name, value in of_server.items() if value]:
        raise ParameterError(f"{', '.join(given)} needs a server: omit it, or omit --engine dask")
    content = {
        "recursive": options.recursive,
        "parameters": options.parameters,
        "coco": options.coco,
        "plantcv": options.plantcv,
        "formats": sorted(options.formats),
        "with_bom": options.with_bom,
    }
    command = ["-m", "thale_models.batch.analyze", "--options", json.dumps(content)]
    paths = {"--out": options.out, "--home": options.home, "--weights": options.weights, "--workers": workers}
    _replace_process(command, paths, ["--", *options.paths])


def _replace_process(command: Sequence[str], options: Mapping[str, object], arguments: Sequence[str] = ()) -> NoReturn:
    missing = [name for name in _REQUIRED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"the engine dask needs packages that are not installed ({', '.join(missing)}): "
            "pip install torch==2.13.0 && pip install 'thale[batch]'"
        )
    given = [part for option, value in options.items() if value is not None for part in (option, str(value))]
    program = python_command(*command, *given, *arguments)
    os.execve(program[0], program, child_environment())  # noqa: S606 (the interpreter of this process)
