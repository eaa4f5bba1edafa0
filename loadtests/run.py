"""Put load on thale and judge the promises of slo.toml: `make load USERS=10 MINUTES=5`, `make load-smoke`.

    python -m loadtests.run --users 10 --minutes 5 --scenario interactive --scenario burst --scenario hostile

Uses the server at --host; without one the platform that runs on this machine, and without that starts one for the test.
Exit status: 0 all limits kept, 1 a limit broken, 2 asked wrongly or nothing could be sent.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests import image_set, report, samples, slo_check
from loadtests.personas import SCENARIOS, allocate_users
from thale.client import Client
from thale.errors import ServerUnreachableError, ThaleError
from thale.local.data_dir import DataDir
from thale.local.platform import serve
from thale.slo import read_slo

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
ROOT = Path(__file__).parents[1]
_DRAIN_TIMEOUT_S = 60
"""How long locust waits for the answers of requests that are on their way when time is up."""


def main(
    users: Annotated[int, typer.Option(min=1, help="Users of all scenarios together.")] = 4,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 1.0,
    scenario: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(SCENARIOS)}. Default: all.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of a server. Default: this machine's, or a new one.")
    ] = None,
    home: Annotated[Path | None, typer.Option(envvar="THALE_HOME", help="Folder of this machine's platform.")] = None,
    weights: Annotated[Path | None, typer.Option(envvar="THALE_WEIGHTS", help="Models of a platform to start.")] = None,
    slo: Annotated[Path | None, typer.Option(help="The limits. Default: services/thale/slo.toml.")] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Where the report goes.")] = Path("results/load"),
) -> None:
    """Apply load, write a report with pictures, and judge the limits."""
    console = Console()
    scenarios = scenario or list(SCENARIOS)
    if not set(scenarios) <= set(SCENARIOS):
        raise typer.BadParameter(f"there are the scenarios {', '.join(SCENARIOS)}, and none else")
    if users < len(scenarios):
        raise typer.BadParameter(f"{len(scenarios)} scenarios need as many users at least, not {users}")
    limits = read_slo(slo)
    with console.status("drawing the pictures (once)"):
        image_set.load_images()
    out.mkdir(parents=True, exist_ok=True)
    samples_path = out / "samples.csv"
    try:
        with _server(host, home, weights, console) as url:
            console.print(f"{users} users for {minutes:g} min at {url}")
            status = _run_locust(url, users, minutes, scenarios, samples_path)
    except ThaleError as error:
        console.print(f"[bold red]load test:[/] {error}", highlight=False)
        raise typer.Exit(2) from error
    if status != 0:
        console.print(f"locust ended with status {status}: nothing is judged")
        raise typer.Exit(2)
    recorded_samples = samples.read_samples(samples_path)
    results = slo_check.check_slos(recorded_samples, limits)
    run_info = report.RunInfo(users, minutes, scenarios, datetime.now(UTC).isoformat(timespec="minutes"))
    page = report.write_report(out, recorded_samples, results, limits, run_info)
    console.print(slo_check.results_table(results))
    console.print(f"report: {page}")
    raise typer.Exit(1 if any(result.is_violated for result in results) else 0)


@contextmanager
def _server(host: str | None, home: Path | None, weights: Path | None, console: Console) -> Iterator[str]:
    """Give the address of a server: the one that is named, the one that runs here, or one for this test alone."""
    running = None if host else DataDir.resolve(home).find_running_platform()
    if host or running:
        url = (host or running.url).rstrip("/")  # type: ignore[union-attr]  # one of the two is there
        if not Client(url).is_ready():
            raise ServerUnreachableError(
                f"nobody is ready to measure at {url}: start `thale up`, or say another --host"
            )
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        data_dir = DataDir.resolve(Path(folder) / "home")
        with serve(data_dir, lambda line: console.print(line), weights=weights, persistent=False) as local_platform:
            local_platform.wait_until_ready()
            yield local_platform.url


def _run_locust(url: str, users: int, minutes: float, scenarios: list[str], samples_path: Path) -> int:
    """Run locust until all answers are there. Returns its exit status."""
    counts = [
        {"user_class_name": name, "fixed_count": count} for name, count in allocate_users(users, scenarios).items()
    ]
    options = {
        "--locustfile": LOCUSTFILE,
        "--host": url,
        "--users": users,
        "--spawn-rate": max(1, users),
        "--run-time": f"{round(60 * minutes)}s",
        "--stop-timeout": _DRAIN_TIMEOUT_S,
        "--samples": samples_path,
        "--loglevel": "WARNING",
    }
    arguments = [str(word) for option in options.items() for word in option]
    command = [
        sys.executable,
        "-m",
        "locust",
        "--headless",
        "--only-summary",
        *arguments,
        "--config-users",
        *map(json.dumps, counts),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 (ours)


if __name__ == "__main__":
    typer.run(main)
