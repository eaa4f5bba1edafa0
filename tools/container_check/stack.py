"""Runs both images hardened: no capabilities, a read-only root with a writable /tmp, and an arbitrary UID.

The containers share one network, as in a pod, so TorchServe listens on loopback. Only the facade is published, on this
machine. The stack is the same as in compose.yaml, for the tests and for machines without compose.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from deploy.commands import run
from deploy.errors import CommandError

SERVICES, MODEL_SERVER = "thale-services", "thale-model-server"
USER = "1000"
_HARDENED = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}"),
    "--tmpfs=/tmp:rw,exec,size=1g,mode=1777",  # exec: Java unpacks its native libraries there
)
_PORT = 8000
_FACADE_SETTINGS = {
    "THALE_HOST": "0.0.0.0",  # noqa: S104 (in the containers' network)
    "THALE_PORT": str(_PORT),
    "THALE_MODEL_URL": "http://127.0.0.1:8080",
    "THALE_MANAGEMENT_URL": "http://127.0.0.1:8081",
    "THALE_RELEASE_STATE_PATH": "/models/release-state.json",
    "THALE_API_KEYS_PATH": "/keys/api-keys.json",
}
_START_TIMEOUT_S = 600.0
_STOP_TIMEOUT_S = 60
_POLL_INTERVAL_S = 1.0


class ContainerError(RuntimeError):
    """A container or engine command failed; the message ends with its output."""


@dataclass(frozen=True)
class ContainerRunner:
    """podman or docker, with the commands that both have, and flags for `run` on this machine."""

    program: str
    run_flags: Sequence[str] = ()

    def run_command(self, *arguments: str) -> str:
        """Run a command of the engine and return its output.

        Raises:
            ContainerError: If it fails.
        """
        try:
            return run([self.program, *arguments]).stdout
        except CommandError as error:
            raise ContainerError(str(error)) from error

    def run_container(self, image: str, *command: str, flags: Sequence[str] = ()) -> str:
        """Run a hardened container of an image and return its output, or its id if flags detach it."""
        return self.run_command("run", *self.run_flags, *_HARDENED, *flags, image, *command)

    def size_mb(self, image: str) -> float:
        """Return the unpacked size of an image's layers in MB of 10^6 bytes."""
        return int(self.run_command("image", "inspect", "--format", "{{.Size}}", image)) / 1e6

    def sbom(self, image: str, ecosystem: str) -> Any:
        """Return the image's software bill of materials of the `python` or `debian` packages."""
        return json.loads(
            self.run_container(image, f"/usr/share/sbom/{ecosystem}.cdx.json", flags=("--rm", "--entrypoint=cat"))
        )


@dataclass(frozen=True)
class ContainerStack:
    """Names of the running containers, the URL of the facade on this machine, and an API key for it."""

    engine: ContainerRunner
    model_server: str
    facade: str
    url: str
    api_key: str = field(repr=False)

    def time_to_stop(self, container: str) -> float:
        """Stop a container with SIGTERM and return the duration in seconds."""
        started_s = time.monotonic()
        self.engine.run_command("stop", f"--time={_STOP_TIMEOUT_S}", container)
        return time.monotonic() - started_s

    def wait_until_ready(self) -> None:
        """Wait until each model has a worker and the facade is ready.

        Raises:
            ContainerError: If a container ends, or the timeout expires.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        probe = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{_PORT}/health/ready', timeout=5)"
        while True:
            try:
                self.engine.run_command("exec", self.model_server, "python", "-m", "thale_models.readiness")
                self.engine.run_command("exec", self.facade, "python", "-c", probe)
            except ContainerError as error:
                running = all(
                    self.engine.run_command("container", "inspect", "--format", "{{.State.Running}}", name).strip()
                    == "true"
                    for name in (self.model_server, self.facade)
                )
                if not running or time.monotonic() > deadline:
                    raise ContainerError(f"{error}\n{self._log_tails()}") from error
                time.sleep(_POLL_INTERVAL_S)
            else:
                return

    def _log_tails(self) -> str:
        return "\n".join(
            f"{name}: {self.engine.run_command('logs', '--tail=30', name)}" for name in (self.model_server, self.facade)
        )


@contextmanager
def run_stack(engine: ContainerRunner, tag: str) -> Iterator[ContainerStack]:
    """Serve the default models with the images of a tag, and yield once they are ready.

    Raises:
        ContainerError: If a container cannot be started, ends, or is not ready in time.
    """
    suffix = uuid4().hex[:8]
    names = ("models", "keys", "model-server", "facade")
    models, keys, model_server, facade = (f"thale-{name}-{suffix}" for name in names)
    try:
        for volume in (models, keys):
            engine.run_command("volume", "create", volume)
        api_key = engine.run_container(
            f"{SERVICES}:{tag}",
            *("thale", "keys", "create", "--home", "/keys", "--name", "check", "--expires", "1d"),
            flags=("--rm", "--network=none", f"--volume={keys}:/keys"),
        ).strip()
        engine.run_container(
            f"{MODEL_SERVER}:{tag}",
            *("-m", "thale_models.default_models", "/models"),
            flags=("--rm", f"--volume={models}:/models", "--entrypoint=python"),
        )
        detached = ("--detach", f"--volume={models}:/models:ro")
        engine.run_container(
            f"{MODEL_SERVER}:{tag}", flags=(*detached, f"--name={model_server}", f"--publish=127.0.0.1::{_PORT}")
        )
        facade_flags = (f"--name={facade}", f"--network=container:{model_server}", f"--volume={keys}:/keys:ro")
        settings = [f"--env={name}={value}" for name, value in _FACADE_SETTINGS.items()]
        engine.run_container(f"{SERVICES}:{tag}", flags=(*detached, *facade_flags, *settings))
        address = engine.run_command("port", model_server, f"{_PORT}/tcp").splitlines()[0]
        stack = ContainerStack(engine, model_server, facade, f"http://{address}", api_key)
        stack.wait_until_ready()
        yield stack
    finally:
        for name in (facade, model_server):  # in this order: the facade uses the network of the model server
            engine.run_command("rm", "--force", "--volumes", name)
        engine.run_command("volume", "rm", "--force", models, keys)
