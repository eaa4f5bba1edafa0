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
_SETTINGS = {
    "THALE_HOST": "0.0.0.0",  # noqa: S104 (in the containers' own network)
    "THALE_PORT": str(_PORT),
    "THALE_MODEL_URL": "http://127.0.0.1:8080",
    "THALE_MANAGEMENT_URL": "http://127.0.0.1:8081",
    "THALE_RECORD_PATH": "/models/traffic.json",
}
_START_LIMIT_S = 600.0
_STOP_LIMIT_S = 60
_LOOK_AGAIN_S = 1.0


class ContainerError(RuntimeError):
    """A container did not do what it should; the message ends with what it said."""


@dataclass(frozen=True)
class Engine:
    """podman or docker, by the commands that both have, and flags for `run` that this place needs."""

    program: str
    run_flags: Sequence[str] = ()

    def ask(self, *words: str) -> str:
        """Return what a command of the engine says.

        Raises:
            ContainerError: If it fails.
        """
        done = subprocess.run([self.program, *words], capture_output=True, text=True)  # noqa: S603 (the command is ours)
        if done.returncode:
            raise ContainerError(f"{self.program} {shlex.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def run(self, image: str, *command: str, flags: Sequence[str] = ()) -> str:
        """Run a hardened container of an image, and return what it says (its id, where flags detach it)."""
        return self.ask("run", *self.run_flags, *_HARDENED, *flags, image, *command)

    def size_mb(self, image: str) -> float:
        """Return how large an image's layers are, unpacked, in MB of 10^6 bytes."""
        return int(self.ask("image", "inspect", "--format", "{{.Size}}", image)) / 1e6

    def inventory(self, image: str, of: str) -> Any:
        """Return the image's software bill of materials of `python` packages, or of `debian`'s."""
        return json.loads(self.run(image, f"/usr/share/sbom/{of}.cdx.json", flags=("--rm", "--entrypoint=cat")))


@dataclass(frozen=True)
class Pair:
    """The running containers, by name, and the facade's address on this machine."""

    engine: Engine
    model_server: str
    facade: str
    url: str

    def stop_seconds(self, container: str) -> float:
        """Ask a container to stop, by SIGTERM, and return the seconds until it had."""
        began = time.monotonic()
        self.engine.ask("stop", f"--time={_STOP_LIMIT_S}", container)
        return time.monotonic() - began

    def wait_until_ready(self) -> None:
        """Wait until every model has a worker and the facade knows.

        Raises:
            ContainerError: If a container ends, or it takes too long.
        """
        until = time.monotonic() + _START_LIMIT_S
        probe = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{_PORT}/health/ready', timeout=5)"
        while True:
            try:
                self.engine.ask("exec", self.model_server, "python", "-m", "thale_models.readiness")
                self.engine.ask("exec", self.facade, "python", "-c", probe)
            except ContainerError as error:
                running = all(
                    self.engine.ask("container", "inspect", "--format", "{{.State.Running}}", name).strip() == "true"
                    for name in (self.model_server, self.facade)
                )
                if not running or time.monotonic() > until:
                    raise ContainerError(f"{error}\n{self._last_words()}") from error
                time.sleep(_LOOK_AGAIN_S)
            else:
                return

    def _last_words(self) -> str:
        return "\n".join(
            f"{name}: {self.engine.ask('logs', '--tail=30', name)}" for name in (self.model_server, self.facade)
        )


@contextmanager
def running_pair(engine: Engine, tag: str) -> Iterator[Pair]:
    """Serve the default models with the images of a tag, and yield once they are ready to.

    Raises:
        ContainerError: If something cannot be started, ends, or is not ready in time.
    """
    mark = uuid4().hex[:8]
    models, model_server, facade = (f"thale-{name}-{mark}" for name in ("models", "model-server", "facade"))
    try:
        engine.ask("volume", "create", models)
        engine.run(
            f"{MODEL_SERVER}:{tag}",
            *("-m", "thale_models.default_models", "/models"),
            flags=("--rm", f"--volume={models}:/models", "--entrypoint=python"),
        )
        detached = ("--detach", f"--volume={models}:/models:ro")
        engine.run(
            f"{MODEL_SERVER}:{tag}", flags=(*detached, f"--name={model_server}", f"--publish=127.0.0.1::{_PORT}")
        )
        beside = (f"--name={facade}", f"--network=container:{model_server}")
        settings = [f"--env={name}={value}" for name, value in _SETTINGS.items()]
        engine.run(f"{SERVICES}:{tag}", flags=(*detached, *beside, *settings))
        address = engine.ask("port", model_server, f"{_PORT}/tcp").splitlines()[0]
        pair = Pair(engine, model_server, facade, f"http://{address}")
        pair.wait_until_ready()
        yield pair
    finally:
        for name in (facade, model_server):  # in this order: the facade lives in the other's network
            engine.ask("rm", "--force", "--volumes", name)
        engine.ask("volume", "rm", "--force", models)
