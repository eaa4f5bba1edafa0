"""Time to roll back: from the first bad response of a canary until it receives no more requests.

    python benchmarks/rollback.py

The benchmark runs a real TorchServe, facade and controller at 20 requests per second. After some good responses, the
canary fails every image. Users see no errors, because failed requests fall back to stable. During the measured time,
each of these requests costs the work of both versions. The baseline is the same judge with a poll every 15 seconds, a
common scrape interval of Prometheus.

The images come in series of five, and a series has one version. Each run has other names of series, because the time
depends on which of them the canary measures.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.rollout_environment import (  # noqa: E402
    CANARY,
    MODEL,
    RolloutEnvironment,
    SimulatedUsers,
    run_rollout_environment,
    wait_until,
)
from tests.support.stub_segmenter import first_bad_file  # noqa: E402 (in the repository root, added above)
from thale.release.judge.policy import read_policy  # noqa: E402

RATE_HZ = 20.0
RUNS = 9
WEIGHTS_PERCENT = (5.0, 25.0, 50.0)
POLL_S, BASELINE_POLL_S = 0.5, 15.0
_MIN_GOOD_RESPONSES = 10


def time_to_zero_traffic(
    environment: RolloutEnvironment, weight_percent: float, poll_s: float, series: str
) -> tuple[float, int]:
    """Return the time from the first bad response to zero traffic, and the number of failed user requests."""
    first_bad = first_bad_file(environment.folder)
    first_bad.unlink(missing_ok=True)
    environment.set_fault("good")
    with (
        SimulatedUsers(environment.url, RATE_HZ, series=series).run() as users,
        environment.run_controller(read_policy(), poll_s=poll_s),
    ):
        environment.start_canary(steps=(weight_percent, 100.0), shadow=False)
        wait_until(lambda: users.versions.count(CANARY) >= _MIN_GOOD_RESPONSES)
        environment.set_fault("exception")
        wait_until(first_bad.exists)
        started_at = first_bad.stat().st_mtime
        wait_until(lambda: _canary_traffic_percent(environment.url) == 0)
        ended_at = time.time()
    return ended_at - started_at, sum(status != 200 for status in users.statuses)


def _canary_traffic_percent(url: str) -> float:
    """Return the canary's share of the traffic, as the facade applies it."""
    with urlopen(f"{url}/v1/models/{MODEL}", timeout=10) as response:  # noqa: S310 (the local facade)
        versions = json.load(response)["versions"]
    return float(sum(version["traffic_percent"] for version in versions if version["version"] == CANARY))


def main() -> int:
    """Run the benchmark, print the results, and return the exit status."""
    with tempfile.TemporaryDirectory() as folder, run_rollout_environment(Path(folder)) as environment:
        print(f"{RATE_HZ:g} requests/s; seconds from the first bad response to 0 %, {RUNS} runs each")  # noqa: T201
        for weight_percent in WEIGHTS_PERCENT:
            durations = [time_to_zero_traffic(environment, weight_percent, POLL_S, f"run {run}") for run in range(RUNS)]
            baseline_s, baseline_failed = time_to_zero_traffic(environment, weight_percent, BASELINE_POLL_S, "baseline")
            median = statistics.median(seconds for seconds, _ in durations)
            failed = sum(count for _, count in durations) + baseline_failed
            print(  # noqa: T201
                f"canary at {weight_percent:3g} %: {median:5.2f} s (max {max(durations)[0]:.2f}), "
                f"with a poll every {BASELINE_POLL_S:g} s: {baseline_s:5.2f} s, ratio {baseline_s / median:.1f}; "
                f"requests failed: {failed}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
