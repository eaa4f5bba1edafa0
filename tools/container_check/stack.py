"""Both images at work as anybody may run them: no capability, only /tmp to write to, and a user whom nobody knows.

The containers share one network, as the containers of a pod do, so TorchServe stays on loopback; the facade alone is
published, on this machine. It is what compose.yaml does, for those who have no compose, and for the tests.
"""

import json
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

SERVICES, MODEL_SERVER = "thale-services", "thale-model-server"
USER = "1000"
_HARDENED = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}"),
    "--tmpfs=/tmp:rw,exec,size=1g,mode=1777",  # exec: Java keeps its native libraries there
)
_PORT = 8000
_FACADE_SETTINGS = {
    "THALE_HOST": "0.0.0.0",  # noqa: S104 (in the containers' own network)
    "THALE_PORT": str(_PORT),
    "THALE_MODEL_URL": "http://127.0.0.1:8080",
    "THALE_MANAGEMENT_URL": "http://127.0.0.1:8081",
    "THALE_RELEASE_STATE_PATH": "/models/release-state.json",
}
_START_TIMEOUT_S = 600.0
_STOP_TIMEOUT_S = 60
_POLL_INTERVAL_S = 1.0


class ContainerError(RuntimeError):
    """A container did not do what it should; the message ends with what it said."""


@dataclass(frozen=True)
class Engine:
    """podman or docker, by the commands that both have, and flags for `run` that this place needs."""

    program: str
    run_flags: Sequence[str] = ()

    def run_command(self, *arguments: str) -> str:
        """Return what a command of the engine says.

        Raises:
            ContainerError: If it fails.
        """
        result = subprocess.run([self.program, *arguments], capture_output=True, text=True)  # noqa: S603 (the command is ours)
        if result.returncode:
            raise ContainerError(f"{self.program} {shlex.join(arguments)}: {result.stderr or result.stdout}")
        return result.stdout

    def run_container(self, image: str, *command: str, flags: Sequence[str] = ()) -> str:
        """Run a hardened container of an image, and return what it says (its id, where flags detach it)."""
        return self.run_command("run", *self.run_flags, *_HARDENED, *flags, image, *command)

    def size_mb(self, image: str) -> float:
        """Return how large an image's layers are, unpacked, in MB of 10^6 bytes."""
        return int(self.run_command("image", "inspect", "--format", "{{.Size}}", image)) / 1e6

    def sbom(self, image: str, ecosystem: str) -> Any:
        """Return the image's software bill of materials of `python` packages, or of `debian`'s."""
        return json.loads(
            self.run_container(image, f"/usr/share/sbom/{ecosystem}.cdx.json", flags=("--rm", "--entrypoint=cat"))
        )


@dataclass(frozen=True)
class ContainerStack:
    """The running containers, by name, and the facade's address on this machine."""

    engine: Engine
    model_server: str
    facade: str
    url: str

    def time_to_stop(self, container: str) -> float:
        """Ask a container to stop, by SIGTERM, and return the seconds until it had."""
        began = time.monotonic()
        self.engine.run_command("stop", f"--time={_STOP_TIMEOUT_S}", container)
        return time.monotonic() - began

    def wait_until_ready(self) -> None:
        """Wait until every model has a worker and the facade knows.

        Raises:
            ContainerError: If a container ends, or it takes too long.
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
def run_stack(engine: Engine, tag: str) -> Iterator[ContainerStack]:
    """Serve the default models with the images of a tag, and yield once they are ready to.

    Raises:
        ContainerError: If something cannot be started, ends, or is not ready in time.
    """
    suffix = uuid4().hex[:8]
    models, model_server, facade = (f"thale-{name}-{suffix}" for name in ("models", "model-server", "facade"))
    try:
        engine.run_command("volume", "create", models)
        engine.run_container(
            f"{MODEL_SERVER}:{tag}",
            *("-m", "thale_models.default_models", "/models"),
            flags=("--rm", f"--volume={models}:/models", "--entrypoint=python"),
        )
        detached = ("--detach", f"--volume={models}:/models:ro")
        engine.run_container(
            f"{MODEL_SERVER}:{tag}", flags=(*detached, f"--name={model_server}", f"--publish=127.0.0.1::{_PORT}")
        )
        facade_flags = (f"--name={facade}", f"--network=container:{model_server}")
        settings = [f"--env={name}={value}" for name, value in _FACADE_SETTINGS.items()]
        engine.run_container(f"{SERVICES}:{tag}", flags=(*detached, *facade_flags, *settings))
        address = engine.run_command("port", model_server, f"{_PORT}/tcp").splitlines()[0]
        stack = ContainerStack(engine, model_server, facade, f"http://{address}")
        stack.wait_until_ready()
        yield stack
    finally:
        for name in (facade, model_server):  # in this order: the facade lives in the other's network
            engine.run_command("rm", "--force", "--volumes", name)
        engine.run_command("volume", "rm", "--force", models)
