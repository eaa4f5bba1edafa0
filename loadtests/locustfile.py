"""What locust runs: the scenarios' users, and the samples written at the end. `loadtests.run` starts and judges it.

Locust patches the standard library for gevent in its whole process, so nothing else happens in it.
"""

from pathlib import Path
from typing import Any

from locust import events

from loadtests import samples
from loadtests.scenarios import SAMPLES, BatchUser, BurstUser, HostileUser, Researcher

__all__ = ["BurstUser", "HostileUser", "BatchUser", "Researcher"]


def _add_options(parser: Any) -> None:
    parser.add_argument("--samples", type=Path, default=Path("samples.csv"), help="Where each request is written down.")


def _write_samples(environment: Any, **_: object) -> None:
    samples.write_samples(environment.parsed_options.samples, SAMPLES)
    environment.process_exit_code = 0 if SAMPLES else 1  # judged by who reads them


events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]
events.quitting.add_listener(_write_samples)  # type: ignore[no-untyped-call]
