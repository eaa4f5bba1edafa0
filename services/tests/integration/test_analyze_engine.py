"""`thale analyze --engine dask`: the tables of a server, and nothing lost or doubled under kill -9."""

import csv
import os
import signal
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.support import drawn_dishes, sample_images
from tests.support.deadly_image import DEADLY, make_images_deadly
from tests.support.local_platform import is_running, list_descendants, start_thale, wait_for, write_weights

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]
IMAGES = 16
ENGINE = ("--engine", "dask", "--workers", "2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Folder of dishes that differ from each other, one of them in a subfolder."""
    folder = tmp_path / "photographs"
    (folder / "day 2").mkdir(parents=True)
    for number in range(IMAGES):
        image = drawn_dishes.blank(570, 560)
        drawn_dishes.draw_dish(image, 40, 45, 470)
        drawn_dishes.draw_roots(image, 40, 45, 470, count=2 + number % 4)
        data = sample_images.encode(Image.fromarray(drawn_dishes.photograph(image, number)), "PNG")
        (folder / ("day 2" if number == 0 else ".") / f"p{number}.png").write_bytes(data)
    return folder


def analyze(photographs: Path, weights: Path, out: Path, *options: str) -> tuple[int, str]:
    """Run the command to its end. Return its exit status and output."""
    process = start_thale(*_command(photographs, out, *options), home=photographs.parent / "home", weights=weights)
    output, _ = process.communicate(timeout=280)
    return process.returncode, output


def _command(photographs: Path, out: Path, *options: str) -> tuple[str | Path, ...]:
    return ("analyze", photographs, "--out", out, "--recursive", "--plate-width-mm", "100", *options)


def rows(path: Path, *left_out: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: cell for name, cell in row.items() if name not in left_out} for row in csv.DictReader(file)]


def count_results(out: Path) -> int:
    return len(list(out.rglob("*.json"))) if out.exists() else 0


def list_dask_workers(pid: int) -> list[psutil.Process]:
    def uses_models(process: psutil.Process) -> bool:
        try:
            return any("openvino" in mapped.path for mapped in process.memory_maps())
        except psutil.Error:
            return False

    return [process for process in list_descendants(pid) if uses_models(process)]


def test_engine_and_server_write_the_same_tables(photographs: Path, weights: Path, tmp_path: Path) -> None:
    (photographs / "cut.png").write_bytes((photographs / "p1.png").read_bytes()[:3000])
    (photographs / "empty.jpg").touch()
    (photographs / "copy.png").write_bytes((photographs / "p1.png").read_bytes())
    engine, server = tmp_path / "engine", tmp_path / "server"
    results = [analyze(photographs, weights, out, *options) for out, options in ((engine, ENGINE), (server, ()))]
    assert [status for status, _ in results] == [1, 1], results
    for status_line in (output for _, output in results):
        assert f"{IMAGES + 1} measured, 0 skipped (already measured), 2 failed" in status_line
    assert rows(engine / "traits.csv", "created") == rows(server / "traits.csv", "created")
    assert len(rows(engine / "traits_wide.csv")) >= IMAGES
    assert (engine / "traits_wide.csv").read_bytes() == (server / "traits_wide.csv").read_bytes()
    assert {row["file"].rpartition("/")[2] for row in rows(engine / "failed.csv")} == {"cut.png", "empty.jpg"}
    reasons = [
        [row["reason"].partition(" (request")[0] for row in rows(out / "failed.csv")] for out in (engine, server)
    ]
    assert sorted(reasons[0]) == sorted(reasons[1])

    # A run with the other engine continues with the same results, because models and parameters are equal.
    status, output = analyze(photographs, weights, server, *ENGINE)
    assert (status, f"0 measured, {IMAGES + 1} skipped" in output) == (1, True), output


def test_engine_survives_the_loss_of_a_worker(photographs: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start_thale(*_command(photographs, out, *ENGINE), home=tmp_path / "home", weights=weights)
    wait_for("the first result", lambda: count_results(out) > 0 or process.poll() is not None)
    list_dask_workers(process.pid)[0].send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert f"{IMAGES} measured" in output
    check_complete(out)


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "interrupted"])
def test_engine_continues_an_ended_run(photographs: Path, weights: Path, tmp_path: Path, is_killed: bool) -> None:
    out = tmp_path / "out"
    process = start_thale(*_command(photographs, out, *ENGINE), home=tmp_path / "home", weights=weights)
    # A result counts after its entry in the index, so the first one may have to be measured again.
    wait_for("some results", lambda: count_results(out) > 3 or process.poll() is not None)
    children = list_descendants(process.pid)
    if is_killed:
        os.kill(process.pid, signal.SIGKILL)
    else:  # Ctrl-C reaches the command and its workers
        for member in (psutil.Process(process.pid), *children):
            member.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if is_killed else 130), output
    wait_for("the end of the cluster", lambda: not any(map(is_running, children)), 60)
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert 0 < len(finished) < IMAGES
    status, output = analyze(photographs, weights, out, *ENGINE)
    assert status == 0, output
    skipped = int(output.partition(" skipped")[0].rpartition(" ")[2])
    assert 0 < skipped <= len(finished)
    assert f"{IMAGES - skipped} measured" in output
    unchanged = [path for path, changed_ns in finished.items() if path.stat().st_mtime_ns == changed_ns]
    assert len(unchanged) == skipped
    check_complete(out)


def check_complete(out: Path) -> None:
    """Check that each photograph has one result, and its plants are once in the table."""
    table = rows(out / "traits_wide.csv")
    assert len({row["sha256"] for row in table}) == IMAGES
    assert len({(row["sha256"], row["plant"]) for row in table}) == len(table)
    assert not (out / "failed.csv").exists()


def test_engine_reports_an_image_that_kills_its_workers(
    photographs: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images_deadly(monkeypatch, tmp_path)
    (photographs / "a deadly one.png").write_bytes((photographs / "p1.png").read_bytes() + DEADLY)
    out = tmp_path / "out"
    status, output = analyze(photographs, weights, out, *ENGINE)
    assert status == 1, output
    assert f"{IMAGES} measured, 0 skipped (already measured), 1 failed" in output
    (failed,) = rows(out / "failed.csv")
    assert failed["file"].endswith("a deadly one.png")
    assert "the process that measured it ended three times" in failed["reason"]
