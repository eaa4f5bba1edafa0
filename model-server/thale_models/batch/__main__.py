"""Program of `thale experiment run --engine dask`, which executes it in its place.

    python -m thale_models.batch --request '{"experiment": "Salt 1"}' [--home FOLDER] [--workers N]

The exit status is that of `thale`: 0 if all images are measured, 1 for a failure, 2 for a wrong option, 130 after
Ctrl-C.
"""

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from distributed import Client
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from thale._version import __version__
from thale.errors import ParameterError, describe_validation_error
from thale.experiments.store import ExperimentStore
from thale.local.data_dir import DataDir
from thale.local.worker_plan import plan_processes
from thale.schemas.experiment import Job, JobRequest
from thale_models.batch.cluster import check_address, connect, is_exposed, run_local_cluster
from thale_models.batch.image_task import BatchConfig
from thale_models.batch.program import run_program
from thale_models.batch.released_models import find_released_models
from thale_models.batch.runner import JobRunner, find_or_submit_job
from thale_models.batch.settings import BatchSettings

_SHOWN_FAILURES = 20


def main(arguments: Sequence[str]) -> int:
    """Run the program. Returns the exit status."""
    return run_program(
        lambda stderr: _run(_parser().parse_args(arguments), stderr),
        interrupted="stopped: the same command continues with the images without a measurement",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thale experiment run --engine dask")
    parser.add_argument("--request", required=True, help="a JobRequest as JSON")
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--scheduler", default=None)
    return parser


def _run(options: argparse.Namespace, stderr: Console) -> int:
    try:
        request = JobRequest.model_validate_json(options.request)
    except ValidationError as error:
        raise ParameterError(f"the job is invalid: {describe_validation_error(error)}") from error
    if options.scheduler is not None:
        check_address(options.scheduler)
    settings = BatchSettings()
    data_dir = DataDir.resolve(options.home)
    address = settings.store_address(data_dir)
    with closing(ExperimentStore.open(address)) as store:
        store.experiments.get(request.experiment)
        segmentation, landmarks = find_released_models(data_dir, settings)
        plan = plan_processes(options.workers)
        config = BatchConfig(
            store=address,
            segmentation=segmentation,
            landmarks=landmarks,
            error_models_path=settings.error_models_path,
            package_version=__version__,
            host=socket.gethostname(),
            threads=plan.threads if options.scheduler is None else 0,
        )
        job, is_continued = find_or_submit_job(store, request)
        verb = "continues" if is_continued else "starts"
        if options.scheduler is None:
            processes = f"{plan.workers} {'process' if plan.workers == 1 else 'processes'}"
            stderr.print(f"{job.id} {verb} with {processes} ({plan.reason})")
            with run_local_cluster(plan) as client:
                job = _measure(client, store, config, job, stderr)
        else:
            stderr.print(f"{job.id} {verb} at {options.scheduler}", markup=False)
            if is_exposed(options.scheduler):
                stderr.print(
                    "! the connection is neither encrypted nor authenticated: everyone who reaches the scheduler can "
                    "run programs on its workers. Use tls:// (docs/experiments.md)"
                )
            with connect(options.scheduler) as client:
                job = _measure(client, store, config, job, stderr)
        return _summarise(store, job, stderr)


def _measure(client: Client, store: ExperimentStore, config: BatchConfig, job: Job, stderr: Console) -> Job:
    with Progress(console=stderr) as progress:
        task = progress.add_task(job.id, total=job.progress.total)

        def report(current: Job) -> None:
            counts = current.progress
            progress.update(task, completed=counts.total - counts.queued - counts.running)

        return JobRunner(client, store, config, report).run(job.id)


def _summarise(store: ExperimentStore, job: Job, stderr: Console) -> int:
    counts = job.progress
    for state in ("failed", "quarantined"):
        for image in store.jobs.images(job.id, state, _SHOWN_FAILURES, 0).items:
            stderr.print(f"{image.name}: {image.reason}", markup=False)
    sys.stdout.write(f"{job.id} {counts.measured} measured, {counts.failed + counts.quarantined} failed\n")
    return 0 if counts.measured == counts.total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
