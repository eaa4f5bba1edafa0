"""A rollout controller as a separate process, with its release state in a file.

python -m tests.support.controller_process FOLDER URL AUTHOR
"""

import sys
import threading
from pathlib import Path

from tests.support.state_file_target import StateFileTarget
from thale.release.controller.checkpoint import FileCheckpointStore
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.judge.policy import read_policy
from thale.slo import read_slo

if __name__ == "__main__":
    folder, url, author = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    environment = ReleaseEnvironment(
        StateFileTarget(folder / "release-state.json"),
        MetricsScraper([url]),
        FileLease(folder / "lease"),
        FileCheckpointStore(folder / "checkpoint.json"),
    )
    intervals = Intervals(poll_s=0.1, checkpoint_s=0.1)
    RolloutController(environment, read_slo(), read_policy(), author, intervals).run(threading.Event())
