"""Load test with SLO checks: `make load USERS=10 MINUTES=5`, `make load-smoke`.

    python -m loadtests.run --users 10 --minutes 5 --scenario interactive --scenario burst --scenario hostile

The target is the server at --host. The default is the running platform of this machine, or a new one for the test.
Exit status: 0 if all objectives are met, 1 if one is violated, 2 for invalid options or if no request was sent.
"""

import json
import subprocess
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
from thale.host.interpreter import python_command
from thale.local.data_dir import DataDir
from thale.local.platform import serve
from thale.slo import read_slo

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
ROOT = Path(__file__).parents[1]
_DRAIN_TIMEOUT_S = 60
"""Maximum wait of locust for responses in flight at the end of the test."""


def main(
    users: Annotated[int, typer.Option(min=1, help="Total number of users.")] = 4,
    minutes: Annotated[float, typer.Option(min=0.05, help="Duration in minutes.")] = 1.0,
    scenario: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(SCENARIOS)}; may be repeated. Default: all.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="URL of a server. Default: the platform of this machine, or a new one.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="THALE_HOME", help="Data directory of the platform of this machine.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(envvar="THALE_WEIGHTS", help="Weights for a new platform.")] = None,
    slo: Annotated[Path | None, typer.Option(help="File of objectives. Default: services/thale/slo/slo.toml.")] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the report.")] = Path("results/load"),
) -> None:
    """Generate load, check the objectives, and write a report with plots."""
    console = Console()
    scenarios = scenario or list(SCENARIOS)
    if not set(scenarios) <= set(SCENARIOS):
        raise typer.BadParameter(f"unknown scenario; the scenarios are {', '.join(SCENARIOS)}")
    if users < len(scenarios):
        raise typer.BadParameter(f"{len(scenarios)} scenarios need at least {len(scenarios)} users, not {users}")
    objectives = read_slo(slo)
    with console.status("rendering the images (once)"):
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
        console.print(f"locust ended with status {status}: no objective was checked")
        raise typer.Exit(2)
    recorded_samples = samples.read_samples(samples_path)
    results = slo_check.check_slos(recorded_samples, objectives)
    run_info = report.RunInfo(users, minutes, scenarios, datetime.now(UTC).isoformat(timespec="minutes"))
    page = report.write_report(out, recorded_samples, results, objectives, run_info)
    console.print(slo_check.results_table(results) if slo is None else slo_check.results_table(results, str(slo)))
    console.print(f"report: {page}")
    raise typer.Exit(1 if any(result.is_violated for result in results) else 0)


@contextmanager
def _server(host: str | None, home: Path | None, weights: Path | None, console: Console) -> Iterator[str]:
    """Yield the URL of the server: the given host, the running platform, or a new platform for this test."""
    running = None if host else DataDir.resolve(home).find_running_platform()
    if host or running:
        url = (host or running.url).rstrip("/")  # type: ignore[union-attr]  # one of the two is not None
        if not Client(url).is_ready():
            raise ServerUnreachableError(f"no server is ready at {url}: start `thale up`, or pass another --host")
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        data_dir = DataDir.resolve(Path(folder) / "home")
        with serve(data_dir, lambda line: console.print(line), weights=weights, persistent=False) as local_platform:
            local_platform.wait_until_ready()
            yield local_platform.url


def _run_locust(url: str, users: int, minutes: float, scenarios: list[str], samples_path: Path) -> int:
    """Run locust until all responses have arrived. Returns its exit status."""
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
    arguments = [str(item) for option in options.items() for item in option]
    switches = ("--headless", "--only-summary")
    command = python_command("-m", "locust", *switches, *arguments, "--config-users", *map(json.dumps, counts))
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 (fixed command)


if __name__ == "__main__":
    typer.run(main)
