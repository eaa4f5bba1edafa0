"""Entrypoint of the model server image: starts TorchServe with the arguments of its `torchserve` command.

    python -m thale_models.entrypoint --model-store=/mnt/models/model-store --models=all

The process executes Java in its place. Signals then reach TorchServe, and the container ends with TorchServe. The
`torchserve` command is a Python parent process that does not forward SIGTERM
(docs/adr/0043-model-server-image-execs-java.md). Other arguments of `torchserve` are rejected.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from thale.errors import ArchiveError, LocalPlatformError, StoreError
from thale.local.runtime import ModelRuntime, find_runtime
from thale.release.registry.signatures import SignaturePolicy
from thale_models.store_verification import verify_model_store

WORKER_PROGRAM = "/opt/thale/bin/thale-worker"
"""The program that TorchServe runs instead of Python to start a worker (`thale_models.worker`)."""

_DEFAULT_MODEL_STORE = Path("/models/model-store")
_DEFAULT_CONFIG = Path("/etc/thale/config.properties")
_DEFAULT_LOG_CONFIG = Path("/etc/thale/log4j2.xml")
_TEMP_DIR = "/tmp"  # noqa: S108 (private to the container; holds the sockets of the workers)


def build_java_command(runtime: ModelRuntime, arguments: Sequence[str]) -> list[str]:
    """Return the Java command for these arguments.

    Raises:
        LocalPlatformError: If a file or folder in the arguments does not exist. The message names the argument.
        SystemExit: If the arguments are invalid, or include `--help`.
    """
    options = _build_parser().parse_args(arguments)
    for option, path in (
        ("model-store", options.model_store),
        ("ts-config", options.ts_config),
        ("log-config", options.log_config),
    ):
        if not path.exists():
            raise LocalPlatformError(f"--{option}: {path} does not exist; mount it, or pass another path")
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
    parser.add_argument("--start", action="store_true", help="accepted for compatibility; always in effect")
    parser.add_argument("--foreground", action="store_true", help="accepted for compatibility; always in effect")
    parser.add_argument(
        "--ncs",
        "--no-config-snapshots",
        action="store_true",
        help="accepted for compatibility; snapshots are never written",
    )
    parser.add_argument(
        "--model-store", type=Path, default=_DEFAULT_MODEL_STORE, help="folder of archives (default: %(default)s)"
    )
    parser.add_argument("--models", nargs="+", default=["all"], help="archives to load (default: all in the store)")
    parser.add_argument("--ts-config", type=Path, default=_DEFAULT_CONFIG, help="settings (default: %(default)s)")
    parser.add_argument(
        "--log-config", type=Path, default=_DEFAULT_LOG_CONFIG, help="settings of log4j2 (default: %(default)s)"
    )
    return parser


def main() -> int:
    """Replace this process with TorchServe. Returns the exit status if that fails."""
    try:
        java_command = build_java_command(find_runtime(), sys.argv[1:])
        verify_model_store(Path(java_command[java_command.index("-s") + 1]), SignaturePolicy.from_environment())
    except (ArchiveError, LocalPlatformError, StoreError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.execv(java_command[0], java_command)  # noqa: S606 (TorchServe's own command)


if __name__ == "__main__":
    sys.exit(main())
