"""Program of `thale analyze --engine dask`, which executes it in its place.

    python -m thale_models.batch.analyze --options '{"recursive": false, …}' --out FOLDER -- PATH …

Tables, failed.csv, result names and the continuation of an earlier run are those of `thale analyze` with a server.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from distributed import Client
from distributed.scheduler import KilledWorker
from rich.console import Console

from thale.batch.run import Measurer
from thale.cli.analyze import AnalyzeOptions, analyze_images
from thale.client import Parameters
from thale.errors import (
    ImageError,
    ServerError,
    UnexpectedResponseError,
    error_class,
)
from thale.local.data_dir import DataDir
from thale.local.worker_plan import WorkerPlan, plan_processes
from thale.models.model_card import CARD, parse_model_card
from thale.schemas import ModelInfo, ModelVersion, Phenotype
from thale.schemas.experiment import MeasurementParameters
from thale_models.batch.cluster import ONE_IMAGE, run_local_cluster
from thale_models.batch.file_task import FileConfig, FileOutcome, measure_file
from thale_models.batch.model_host import ReleasedArchive
from thale_models.batch.program import run_program
from thale_models.batch.released_models import find_released_models
from thale_models.batch.settings import BatchSettings

_MEASURED_WITH = frozenset(MeasurementParameters.model_fields)


def main(arguments: Sequence[str]) -> int:
    """Run the program. Returns the exit status."""
    return run_program(lambda stderr: _run(_parser().parse_args(arguments), stderr))


def _run(given: argparse.Namespace, stderr: Console) -> int:
    plan, options = plan_processes(given.workers), _options(given)
    # While a process measures, the results of the image before are written.
    return analyze_images(
        options, Console(), stderr, lambda notify: _run_engine(options, plan, notify), plan.workers + 1
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thale analyze --engine dask")
    parser.add_argument("--options", required=True, help="the other options as JSON")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("paths", nargs="+")
    return parser


def _options(given: argparse.Namespace) -> AnalyzeOptions:
    content = json.loads(given.options)
    return AnalyzeOptions(
        paths=given.paths,
        out=given.out,
        recursive=content["recursive"],
        parameters=content["parameters"],
        coco=content["coco"],
        plantcv=content["plantcv"],
        server=None,
        home=given.home,
        weights=given.weights,
        formats=frozenset(content["formats"]),
        with_bom=content["with_bom"],
    )


@contextmanager
def _run_engine(options: AnalyzeOptions, plan: WorkerPlan, notify: Callable[[str], None]) -> Iterator[Measurer]:
    """Run worker processes with the stable models for the duration of the context.

    Raises:
        LocalPlatformError, ModelUnavailableError: If the models cannot be found.
    """
    settings = BatchSettings()
    if options.weights is not None:
        settings = settings.model_copy(update={"weights": options.weights})
    segmentation, landmarks = find_released_models(DataDir.resolve(options.home), settings)
    processes = f"{plan.workers} {'process' if plan.workers == 1 else 'processes'}"
    notify(f"measuring with {processes} ({plan.reason}), without a server")
    config = FileConfig(segmentation, landmarks, settings.error_models_path, plan.threads)
    with run_local_cluster(plan) as client:
        yield EngineMeasurer(client, config)


class EngineMeasurer:
    """Measures images on a Dask cluster, with the interface of the client of a server."""

    def __init__(self, client: Client, config: FileConfig) -> None:
        self._client = client
        self._config = config

    def models(self) -> tuple[ModelInfo, ...]:
        """Return both models. Each has one version."""
        return tuple(_describe(archive) for archive in (self._config.segmentation, self._config.landmarks))

    def is_ready(self) -> bool:
        """Return True while the cluster runs."""
        return bool(self._client.status == "running")

    def phenotype(self, image: Path | bytes, **parameters: Unpack[Parameters]) -> Phenotype:
        """Measure an image.

        Raises:
            ThaleError: If it cannot be measured, or ended its process three times.
            ServerError: If the cluster ended.
        """
        measured_with = {name: value for name, value in parameters.items() if name in _MEASURED_WITH}
        source = image if isinstance(image, bytes) else image.absolute()
        future = self._client.submit(
            *(measure_file, self._config, source, MeasurementParameters.model_validate(measured_with)),
            pure=False,
            resources=ONE_IMAGE,
        )
        try:
            outcome: FileOutcome = future.result()
        except KilledWorker as error:
            raise ImageError(
                "the process that measured it ended three times: crop the image, or convert it to PNG"
            ) from error
        except (CancelledError, OSError) as error:
            raise ServerError("the worker processes ended: run the same command again, which continues") from error
        if outcome.code:
            raise (error_class(outcome.code) or UnexpectedResponseError).from_message(outcome.message)
        return Phenotype.model_validate_json(outcome.phenotype)


def _describe(archive: ReleasedArchive) -> ModelInfo:
    with zipfile.ZipFile(archive.path) as members:
        card = parse_model_card(members.read(CARD))
    version = ModelVersion(
        version=card.version, state="ready", default=True, traffic_percent=100.0, digest=archive.digest, card=card
    )
    return ModelInfo(name=card.name, task=card.task, versions=(version,))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
