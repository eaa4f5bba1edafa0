"""Locust file: the users of the scenarios, and the export of samples. `loadtests.run` starts it.

Locust patches the standard library for gevent in its process, so this process does nothing else.
"""

from pathlib import Path
from typing import Any

from locust import events

from loadtests import samples
from loadtests.scenarios import SAMPLES, BatchUser, BurstUser, HostileUser, Researcher

__all__ = ["BatchUser", "BurstUser", "HostileUser", "Researcher"]


def _add_options(parser: Any) -> None:
    parser.add_argument(
        "--samples", type=Path, default=Path("samples.csv"), help="Output file with one row per request."
    )


def _write_samples(environment: Any, **_: object) -> None:
    samples.write_samples(environment.parsed_options.samples, SAMPLES)
    environment.process_exit_code = 0 if SAMPLES else 1  # loadtests.run checks the samples


events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]
events.quitting.add_listener(_write_samples)  # type: ignore[no-untyped-call]
