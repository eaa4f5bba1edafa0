"""The documented configuration for SLURM: a valid job script, and workers that a submitted script starts."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.config
import pytest
import yaml
from dask_jobqueue import SLURMCluster
from distributed import Client, Security

from deploy.slurm.start_cluster import create_cluster

pytestmark = pytest.mark.integration
CONFIGURATION = Path(__file__).parents[1] / "slurm" / "dask.yaml"
CERTIFICATE = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=thale"
FAKE_SBATCH = """#!/bin/sh
# Runs a job script on this machine, instead of in a queue.
cp "$1" "$FAKE_SLURM/script" # the caller deletes its file
nohup bash "$FAKE_SLURM/script" >"$FAKE_SLURM/output" 2>&1 &
echo $! >"$FAKE_SLURM/pid"
echo "Submitted batch job 7"
"""
FAKE_SCANCEL = '#!/bin/sh\nkill "$(cat "$FAKE_SLURM/pid")" || true\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Home of a user with the certificate of the documentation, on this machine."""
    create_certificate(tmp_path / ".config" / "dask")
    return tmp_path


def create_certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    certificate, key = folder / "thale.crt", folder / "thale.key"
    command = ["openssl", *CERTIFICATE.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextmanager
def configured(home: Path, **changed: Any) -> Iterator[SLURMCluster]:
    configuration = yaml.safe_load(CONFIGURATION.read_text().replace("/home/USER", str(home)))
    slurm = configuration["jobqueue"]["slurm"]
    slurm |= {"scheduler-options": {**slurm["scheduler-options"], "port": 0}, **changed}
    merged = dask.config.merge(dask.config.config, configuration)  # as Dask merges its files
    with dask.config.set(merged), create_cluster() as cluster:
        yield cluster


def test_job_script_is_valid(home: Path) -> None:
    with configured(home) as cluster:
        script = cluster.job_script()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    directives = {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")}
    logs = {f"-{stream[0]} {home}/thale-logs/thale-%J.{stream}" for stream in ("err", "out")}
    assert directives == {"-J thale", "-n 1", "--cpus-per-task=8", "--mem=12G", "-t 04:00:00", *logs}
    assert "export OMP_NUM_THREADS=1\n" in script
    command = script.splitlines()[-1]
    for option in ("--nthreads 1 ", "--nworkers 8 ", "--nanny ", "--protocol tls://", "--lifetime 225m"):
        assert option in f"{command} ", option
    key = home / ".config" / "dask" / "thale.key"
    assert f"--tls-key {key} " in f"{command} "
    assert " tls://" in command


def test_submitted_script_starts_workers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = home / "bin"
    commands.mkdir()
    for name, text in {"sbatch": FAKE_SBATCH, "scancel": FAKE_SCANCEL}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(home))
    with configured(home, cores=1, processes=1, memory="1GiB") as cluster:
        cluster.scale(jobs=1)
        with Client(cluster.scheduler_address, security=Security(), timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
            (address,) = client.scheduler_info()["workers"]
            assert address.startswith("tls://")
            assert client.submit(os.getenv, "OMP_NUM_THREADS", pure=False).result(timeout=60) == "1"
        certificate, key = create_certificate(home / "other")
        stranger = Security(tls_ca_file=str(certificate), tls_client_cert=str(certificate), tls_client_key=str(key))
        with pytest.raises(OSError, match=r"Timed out|certificate"):
            Client(cluster.scheduler_address, security=stranger, timeout=3)
    assert "--lifetime 225m" in (home / "script").read_text()


def test_cluster_without_certificates_is_refused() -> None:
    with pytest.raises(SystemExit, match="Dask has no certificates"):
        create_cluster()
