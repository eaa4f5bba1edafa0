"""Dask cluster whose workers are jobs of SLURM, until Ctrl-C.

    pip install dask-jobqueue 'thale[batch,postgresql]'
    python -m deploy.slurm.start_cluster --max-jobs 20

It runs on the login node, and submits jobs while images wait. `thale experiment run NAME --engine dask --scheduler
ADDRESS` measures with them. `deploy/slurm/dask.yaml` has the configuration.
"""

import argparse
import sys
import threading
from contextlib import suppress

from dask_jobqueue import SLURMCluster
from distributed import Security


def create_cluster() -> SLURMCluster:
    """Return a cluster with the configuration of Dask. It has a scheduler, and no job yet.

    Raises:
        SystemExit: If the configuration has no certificates.
    """
    security = Security()
    if not security.get_tls_config_for_role("scheduler").get("ca_file"):
        sys.exit(
            "Dask has no certificates: copy deploy/slurm/dask.yaml to ~/.config/dask/thale.yaml, and create them as in "
            "docs/how-to/batch-cluster.md"
        )
    return SLURMCluster(protocol="tls://", security=security)


def main() -> None:
    """Run the cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-jobs", type=int, required=True, help="maximum number of jobs at a time")
    options = parser.parse_args()
    with create_cluster() as cluster:
        cluster.adapt(minimum_jobs=0, maximum_jobs=options.max_jobs)
        sys.stdout.write(f"--scheduler {cluster.scheduler_address}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
