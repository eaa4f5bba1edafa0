"""A watcher as a process of its own: `python watching_process.py FOLDER URL WHO`, with a record file in the folder."""

import sys
import threading
from pathlib import Path

from tests.support.state_file_target import RecordActuator
from thale.release.controller.checkpoint import FileNotes
from thale.release.controller.controller import Pace, Place, Watcher
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import Facades
from thale.slo import read_slo

if __name__ == "__main__":
    folder, url, who = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    place = Place(
        RecordActuator(folder / "record.json"),
        Facades([url]),
        FileLease(folder / "lease"),
        FileNotes(folder / "notes.json"),
    )
    Watcher(place, read_slo(), who, Pace(poll_s=0.1, save_s=0.1)).run(threading.Event())
