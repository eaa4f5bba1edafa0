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

from thale.errors import LocalPlatformError
from thale.local.runtime import ModelRuntime, find_runtime

WORKER_PROGRAM = "/opt/thale/bin/thale-worker"
"""The program that TorchServe takes for Python when it starts a worker (`thale_models.worker`)."""

_DEFAULT_MODEL_STORE = Path("/models/model-store")
_DEFAULT_CONFIG = Path("/etc/thale/config.properties")
_DEFAULT_LOG_CONFIG = Path("/etc/thale/log4j2.xml")
_TEMP_DIR = "/tmp"  # noqa: S108 (a container's own; workers' sockets lie there)


def build_java_command(runtime: ModelRuntime, arguments: Sequence[str]) -> list[str]:
    """Return Java's command for these arguments.

    Raises:
        LocalPlatformError: If a file or folder that they name is not there; the message says which argument names it.
        SystemExit: If they cannot be understood, or ask for help.
    """
    options = _build_parser().parse_args(arguments)
    for option, path in (
        ("model-store", options.model_store),
        ("ts-config", options.ts_config),
        ("log-config", options.log_config),
    ):
        if not path.exists():
            raise LocalPlatformError(f"--{option}: {path} is not there; mount it, or name another place")
    configured_runtime = replace(runtime, settings=options.ts_config)
    return [
        *configured_runtime.java_command(
            _TEMP_DIR, f"-Dlog4j2.configurationFile={options.log_config.resolve().as_uri()}"
        ),
        *("--python", WORKER_PROGRAM),
        *("-s", str(options.model_store)),
        *("-m", *options.models),
    ]


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thale-model-server", description="TorchServe in the foreground.")
    parser.add_argument("--start", action="store_true", help="accepted, for it is what this does")
    parser.add_argument("--foreground", action="store_true", help="accepted, for it is what this does")
    parser.add_argument("--ncs", "--no-config-snapshots", action="store_true", help="accepted: none are ever written")
    parser.add_argument(
        "--model-store", type=Path, default=_DEFAULT_MODEL_STORE, help="folder of archives (default: %(default)s)"
    )
    parser.add_argument("--models", nargs="+", default=["all"], help="archives to load (default: all of the store)")
    parser.add_argument("--ts-config", type=Path, default=_DEFAULT_CONFIG, help="settings (default: %(default)s)")
    parser.add_argument(
        "--log-config", type=Path, default=_DEFAULT_LOG_CONFIG, help="log4j2's settings (default: %(default)s)"
    )
    return parser


def main() -> int:
    """Become TorchServe. Returns the exit status if that cannot be."""
    try:
        java_command = build_java_command(find_runtime(), sys.argv[1:])
    except LocalPlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.execv(java_command[0], java_command)  # noqa: S606 (TorchServe's own command)


if __name__ == "__main__":
    sys.exit(main())
