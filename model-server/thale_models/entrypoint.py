"""The model server's image starts here: TorchServe, by the arguments of its own `torchserve` command.

    python -m thale_models.entrypoint --model-store=/mnt/models/model-store --models=all

The process becomes Java, so signals reach TorchServe itself, and the container ends when it does: the `torchserve`
command is a Python parent that passes no SIGTERM on. Of that command's arguments those are taken that mean something
here; others are refused.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from thale.errors import LaptopError
from thale.local.runtime import Installed, find_installed

WORKER = "/opt/thale/bin/thale-worker"
"""The program that TorchServe takes for Python when it starts a worker (`thale_models.worker`)."""

_STORE = Path("/models/model-store")
_SETTINGS = Path("/etc/thale/config.properties")
_LOGGING = Path("/etc/thale/log4j2.xml")
_TEMPORARY = "/tmp"  # noqa: S108 (a container's own; workers' sockets lie there)


def command(installed: Installed, words: Sequence[str]) -> list[str]:
    """Return Java's command for these arguments.

    Raises:
        LaptopError: If a file or folder that they name is not there; the message says which argument names it.
        SystemExit: If they cannot be understood, or ask for help.
    """
    said = _parser().parse_args(words)
    for option, path in (
        ("model-store", said.model_store),
        ("ts-config", said.ts_config),
        ("log-config", said.log_config),
    ):
        if not path.exists():
            raise LaptopError(f"--{option}: {path} is not there; mount it, or name another place")
    chosen = replace(installed, settings=said.ts_config)
    return [
        *chosen.java_command(_TEMPORARY, f"-Dlog4j2.configurationFile={said.log_config.resolve().as_uri()}"),
        *("--python", WORKER),
        *("-s", str(said.model_store)),
        *("-m", *said.models),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thale-model-server", description="TorchServe in the foreground.")
    parser.add_argument("--start", action="store_true", help="accepted, for it is what this does")
    parser.add_argument("--foreground", action="store_true", help="accepted, for it is what this does")
    parser.add_argument("--ncs", "--no-config-snapshots", action="store_true", help="accepted: none are ever written")
    parser.add_argument("--model-store", type=Path, default=_STORE, help="folder of archives (default: %(default)s)")
    parser.add_argument("--models", nargs="+", default=["all"], help="archives to load (default: all of the store)")
    parser.add_argument("--ts-config", type=Path, default=_SETTINGS, help="settings (default: %(default)s)")
    parser.add_argument("--log-config", type=Path, default=_LOGGING, help="log4j2's settings (default: %(default)s)")
    return parser


def main() -> int:
    """Become TorchServe. Returns the exit status if that cannot be."""
    try:
        words = command(find_installed(), sys.argv[1:])
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.execv(words[0], words)  # noqa: S606 (TorchServe's own command)


if __name__ == "__main__":
    sys.exit(main())
