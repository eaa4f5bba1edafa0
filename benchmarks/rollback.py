"""How long requests go to a version that has turned bad: from its first bad answer until it gets no more of them.

    python benchmarks/rollback.py

A real TorchServe, facade and watcher, twenty requests a second; after a while the canary throws at every image. Nobody
notices, because the stable version answers in its place: what is measured is for how long that costs twice the work.
The peer is the same judge where it reads a Prometheus: what the facades count reaches it every 15 seconds.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "services/tests/release"), str(ROOT / "model-server/tests")]

from tests.support.rollout_environment import CANARY, MODEL, Stage, Users, eventually, running_stage  # noqa: E402
from tests.support.stub_segmenter import first_bad_file  # noqa: E402 (a helper of the tests, found by the line above)
from thale.slo import read_slo  # noqa: E402

RATE_HZ = 20.0
RUNS = 3
SHARES = (5.0, 25.0, 50.0)
OURS_S, PEERS_S = 0.5, 15.0
_GOOD_ANSWERS = 10


def seconds_to_nothing(stage: Stage, share: float, poll_s: float) -> tuple[float, int]:
    """Return how long a canary was asked after its first bad answer, and how many users were failed meanwhile."""
    first_bad = first_bad_file(stage.home)
    first_bad.unlink(missing_ok=True)
    stage.be("good")
    with Users(stage.url, RATE_HZ).asking() as users, stage.watched(read_slo(), poll_s=poll_s):
        stage.start_trial(steps=(share, 100.0), shadow=False)
        eventually(lambda: users.versions.count(CANARY) >= _GOOD_ANSWERS)
        stage.be("throws")
        eventually(first_bad.exists)
        began = first_bad.stat().st_mtime
        eventually(lambda: _share_of_canary(stage.url) == 0)
        ended = time.time()
    return ended - began, sum(status != 200 for status in users.statuses)


def _share_of_canary(url: str) -> float:
    """Ask the facade itself: what it follows is what users get."""
    with urlopen(f"{url}/v1/models/{MODEL}", timeout=10) as answer:  # noqa: S310 (our own facade)
        versions = json.load(answer)["versions"]
    return float(sum(version["traffic_percent"] for version in versions if version["version"] == CANARY))


def main() -> int:
    """Measure and print. Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder, running_stage(Path(folder)) as stage:
        print(f"{RATE_HZ:g} requests/s; seconds from the first bad answer to 0 %, {RUNS} runs each")  # noqa: T201
        for share in SHARES:
            ours = [seconds_to_nothing(stage, share, OURS_S) for _ in range(RUNS)]
            peers = [seconds_to_nothing(stage, share, PEERS_S)]
            median = statistics.median(seconds for seconds, _ in ours)
            failed = sum(count for _, count in ours + peers)
            print(  # noqa: T201
                f"canary at {share:3g} %: {median:5.2f} s (worst {max(ours)[0]:.2f}), read every {PEERS_S:g} s: "
                f"{peers[0][0]:5.2f} s, ratio {peers[0][0] / median:.1f}; requests failed: {failed}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
