"""Measured process of `benchmarks/batch_engine.py`: a job of a store as Dask or Ray tasks of the same function.

    python benchmarks/batch_tasks.py dask|ray --home FOLDER --warm-up JOB --job JOB --processes 2

It prints JSON with the seconds of the job, its CPU seconds in all processes, and their memory. The job of the warm-up
is not included, nor is the start.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from thale._version import __version__
from thale.experiments.store import ExperimentStore
from thale.local.data_dir import DataDir
from thale.local.worker_plan import plan_processes
from thale_models.batch.image_task import BatchConfig, measure_image
from thale_models.batch.released_models import find_released_models
from thale_models.batch.settings import BatchSettings

MAX_SUBMITTED = 1000
RunJob = Callable[[str], None]


def main() -> None:
    """Measure a job and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=("dask", "ray"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--warm-up", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--processes", type=int, required=True)
    options = parser.parse_args()
    data_dir, settings = DataDir.resolve(options.home), BatchSettings()
    address = settings.store_address(data_dir)
    segmentation, landmarks = find_released_models(data_dir, settings)
    config = BatchConfig(address, segmentation, landmarks, None, __version__, socket.gethostname(), 1)
    with closing(ExperimentStore.open(address)) as store:
        run_engine = {"dask": dask_engine, "ray": ray_engine}[options.engine]
        with run_engine(store, config, options.processes) as run_job:
            run_job(options.warm_up)
            cpu_s, started_s = tree_cpu_s(), time.monotonic()
            run_job(options.job)
            elapsed_s = time.monotonic() - started_s
            figures = {"elapsed_s": elapsed_s, "cpu_s": tree_cpu_s() - cpu_s, "memory_mib": tree_memory_mib()}
        counts = store.jobs.get(options.job).progress
        if counts.measured != counts.total:
            sys.exit(f"{counts.measured} of {counts.total} images were measured: {counts}")
    sys.stdout.write(json.dumps(figures) + "\n")


@contextmanager
def dask_engine(store: ExperimentStore, config: BatchConfig, processes: int) -> Any:
    """Yield a function that measures a job on a local Dask cluster, as `thale experiment run --engine dask`."""
    from thale_models.batch.cluster import run_local_cluster
    from thale_models.batch.runner import JobRunner

    with run_local_cluster(plan_processes(processes)) as client:

        def run_job(job_id: str) -> None:
            JobRunner(client, store, config, lambda job: None).run(job_id)

        yield run_job


@contextmanager
def ray_engine(store: ExperimentStore, config: BatchConfig, processes: int) -> Any:
    """Yield a function that measures a job as tasks of a local Ray."""
    import ray

    ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    task = ray.remote(num_cpus=1, max_retries=3)(measure_image)

    def run_job(job_id: str) -> None:
        pending: list[Any] = []
        for image in store.jobs.images(job_id, None, store.jobs.get(job_id).progress.total, 0).items:
            while len(pending) >= MAX_SUBMITTED:
                done, pending = ray.wait(pending, num_returns=1)
                ray.get(done)
            pending.append(task.remote(config, job_id, image.sha256, "ray"))
        ray.get(pending)

    yield run_job
    ray.shutdown()


def process_tree() -> list[psutil.Process]:
    """Return this process and its descendants."""
    own = psutil.Process()
    return [own, *own.children(recursive=True)]


def tree_cpu_s() -> float:
    """Return the CPU seconds of all processes."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in process_tree()))


def tree_memory_mib() -> float:
    """Return the proportional set size of all processes."""
    return sum(process.memory_full_info().pss for process in process_tree()) / 2**20


if __name__ == "__main__":
    main()
