"""Integration tests of `thale up` and `thale analyze` with TorchServe and tiny models."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.support.local_platform import (
    TIMEOUT_S,
    PlatformProcess,
    list_descendants,
    list_workers,
    run_platform,
    start_thale,
    wait_for,
    wait_until_all_exited,
)
from tests.support.sample_images import jpeg, seedlings
from thale._version import __version__
from thale.schemas import Phenotype

pytestmark = pytest.mark.integration


def save_plate(path: Path, shift: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(seedlings() + shift).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with images, a copy, equal file names, damaged images and other files."""
    folder = tmp_path / "photos"
    save_plate(folder / "one.png")
    save_plate(folder / "day2" / "one.png", shift=1)
    shutil.copy(folder / "one.png", folder / "copy.png")
    (folder / "cut.jpg").write_bytes(jpeg()[:900])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("watered on Monday")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_analyze_writes_results_and_failures_of_a_folder(
    platform: PlatformProcess, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    completed = platform.run(
        "analyze", photos, "--recursive", "--out", out, "--mm-per-px", "0.25", "--coco", "--plantcv"
    )
    assert completed.returncode == 1, completed.stdout
    for name in ("one", "copy", "day2/one"):
        phenotype = Phenotype.model_validate_json((out / f"{name}.json").read_bytes())
        assert (phenotype.image.name, phenotype.scale.mm_per_px) == (f"{name}.png", 0.25)
        assert (out / f"{name}.overlay.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.rsml").exists() == any(plant.roots for plant in phenotype.plants)
    for table in ("traits.csv", "traits_wide.csv"):
        assert {row["image"] for row in rows(out / table)} == {"one.png", "copy.png", "day2/one.png"}
    assert {image["file_name"] for image in json.loads((out / "coco.json").read_text())["images"]} >= {"one.png"}
    assert len(json.loads((out / "plantcv.json").read_text())["entities"]) == 3
    assert [Path(row["file"]).name for row in rows(out / "failed.csv")] == ["cut.jpg", "empty.png"]
    for expected_text in (
        "3 measured",
        "2 failed",
        "1 other files ignored",
        "cut.jpg: ",
        "empty.png: ",
        "is a copy of",
    ):
        assert expected_text in completed.stdout

    (photos / "cut.jpg").unlink()
    (photos / "empty.png").unlink()
    save_plate(photos / "one.png", shift=2)
    before = (out / "copy.json").read_bytes()
    resumed = platform.run("analyze", photos, "--recursive", "--out", out, "--mm-per-px", "0.25")
    assert resumed.returncode == 0, resumed.stdout
    assert "1 measured, 2 skipped (already measured)" in resumed.stdout
    assert (out / "copy.json").read_bytes() == before
    assert not (out / "failed.csv").exists()

    other = platform.run("analyze", photos / "one.png", photos / "copy.png", "--out", out, "--mm-per-px", "0.2")
    assert "2 measured, 0 skipped (already measured)" in other.stdout


def test_analyze_prints_table_of_single_image(platform: PlatformProcess, tmp_path: Path) -> None:
    plate = save_plate(tmp_path / "plate.png")
    completed = platform.run("analyze", plate, "--out", tmp_path / "out", "--mm-per-px", "0.25")
    assert completed.returncode == 0, completed.stdout
    for expected_text in (
        "plate.png",
        "240 x 200 px",
        "0.2500 mm/px (given)",
        "plate-seg 1.0.0",
        "whole plate",
        "unit",
    ):
        assert expected_text in completed.stdout


def test_models_lists_versions_and_traffic(platform: PlatformProcess) -> None:
    completed = platform.run("models")
    assert completed.returncode == 0
    for expected_text in ("plate-seg", "plate-landmarks", "1.0.0", "ready", "100 %"):
        assert expected_text in completed.stdout


def test_up_rejects_data_directory_in_use(platform: PlatformProcess) -> None:
    completed = platform.run("up")
    assert completed.returncode == 1
    assert "thale is already running in" in completed.stdout


@pytest.mark.parametrize(
    ("arguments", "expected_text"),
    [
        (["analyze", "gone.png", "--out", "OUT"], "no file or folder 'gone.png'"),
        (["analyze", ".", "--out", "OUT"], "there are no images"),
        (["analyze", ".", "--out", "OUT", "--mm-per-px", "-1"], "not a positive number"),
        (["analyze", "plate.png", "--out", "OUT", "--model", "missing"], "unknown model"),
        (["up", "--analyze", "gone.png"], "no file 'gone.png'"),
    ],
)
def test_invalid_usage_exits_with_2(
    platform: PlatformProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected_text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "plate.png" in arguments:
        save_plate(tmp_path / "plate.png")
    completed = platform.run(*(str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments))
    assert (completed.returncode, expected_text in completed.stdout) == (2, True), completed.stdout


def test_analyze_stops_if_server_is_unreachable(weights: Path, tmp_path: Path, photos: Path) -> None:
    home = tmp_path / "home"
    command = start_thale(
        "analyze", photos / "one.png", "--out", tmp_path, "--server", "http://127.0.0.1:9", home=home, weights=weights
    )
    out, _ = command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 1
    assert "no response from http://127.0.0.1:9" in out


def test_models_error_names_thale_up_without_server(weights: Path, tmp_path: Path) -> None:
    out, _ = start_thale("models", home=tmp_path, weights=weights).communicate(timeout=TIMEOUT_S)
    assert "start one with `thale up`" in out


@pytest.fixture
def prepared_home(platform: PlatformProcess, tmp_path: Path) -> Path:
    """Return a data directory with archived models and caches."""
    home = tmp_path / "home"
    for folder in ("model-store", "openvino", "java"):
        if (platform.home / folder).is_dir():  # Java's cache may not exist yet
            shutil.copytree(platform.home / folder, home / folder, ignore=shutil.ignore_patterns(".*"))
    return home


def test_analyze_killed_run_leaves_no_process_and_is_resumed(
    prepared_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(6)]
    arguments = ("analyze", tmp_path / "photos", "--out", tmp_path / "out", "--mm-per-px", "0.25")
    killed = start_thale(*arguments, home=prepared_home, weights=weights)
    wait_for("a result", lambda: any((tmp_path / "out").glob("*.json")) or killed.poll() is not None)
    processes = list_descendants(killed.pid)
    assert len(list_workers(killed.pid)) == 2
    killed.kill()
    killed.wait()
    assert wait_until_all_exited(processes)

    resumed = start_thale(*arguments, home=prepared_home, weights=weights)
    out, _ = resumed.communicate(timeout=TIMEOUT_S)
    assert resumed.returncode == 0, out
    measured = {row["image"] for row in rows(tmp_path / "out" / "traits.csv")}
    assert measured == {plate.name for plate in plates}
    assert not list((tmp_path / "out").glob(".*.part"))


def test_analyze_interrupted_run_exits_cleanly_and_is_resumed(
    platform: PlatformProcess, prepared_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(12)]
    results = tmp_path / "out"
    arguments = ("analyze", tmp_path / "photos", "--out", results, "--mm-per-px", "0.25")
    interrupted = start_thale(*arguments, home=prepared_home, weights=weights)
    wait_for("a result", lambda: any(results.glob("*.json")) or interrupted.poll() is not None)
    processes = list_descendants(interrupted.pid)
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=TIMEOUT_S)
    assert interrupted.returncode == 130, output
    assert "run the same command again to resume" in output
    assert "remaining" in output
    assert wait_until_all_exited(processes)
    finished = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 1 <= len(finished) < len(plates)
    assert {row["image"] for row in rows(results / "traits.csv")} == {Path(name).stem + ".png" for name in finished}

    resumed = platform.run(*arguments)
    assert resumed.returncode == 0, resumed.stdout
    expected_counts = f"{len(plates) - len(finished)} measured, {len(finished)} skipped (already measured)"
    assert expected_counts in resumed.stdout
    assert {name: (results / name).stat().st_mtime_ns for name in finished} == finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_up_leaves_no_process_after_any_signal(prepared_home: Path, weights: Path, number: signal.Signals) -> None:
    up = start_thale("up", home=prepared_home, weights=weights)
    wait_for("the workers", lambda: len(list_workers(up.pid)) == 2)
    processes = list_descendants(up.pid)
    up.send_signal(number)
    up.wait(TIMEOUT_S)
    assert wait_until_all_exited(processes)
    assert up.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)


def test_up_restarts_killed_torchserve(prepared_home: Path, weights: Path, tmp_path: Path) -> None:
    plate = save_plate(tmp_path / "plate.png")
    with run_platform(prepared_home, weights) as running:
        java = [process for process in list_descendants(running.process.pid) if process.name() == "java"]
        java[0].kill()
        wait_for("a new TorchServe", lambda: _java_pid(running) not in (None, java[0].pid))
        completed = running.run("analyze", plate, "--out", tmp_path / "out", "--mm-per-px", "0.25")
        assert completed.returncode == 0, completed.stdout


@pytest.mark.parametrize("service", ["java", "facade"])
def test_analyze_measures_all_images_despite_killed_service(
    service: str, prepared_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(8)]
    results = tmp_path / "out"
    arguments = ("analyze", tmp_path / "photos", "--out", results, "--mm-per-px", "0.25")
    with run_platform(prepared_home, weights) as running:
        run = start_thale(*arguments, home=prepared_home, weights=weights)
        wait_for("a result", lambda: any(results.glob("*.json")) or run.poll() is not None)
        victims = [process for process in list_descendants(running.process.pid) if _is_service(service, process)]
        victims[0].kill()
        output, _ = run.communicate(timeout=TIMEOUT_S)
        if run.returncode != 0:  # the restart took longer than the client's retries
            assert run.returncode == 1, output
            assert "remaining" in output
            resumed = running.run(*arguments)
            assert resumed.returncode == 0, resumed.stdout
    assert {row["image"] for row in rows(results / "traits.csv")} == {plate.name for plate in plates}
    assert not (results / "failed.csv").exists()


def _is_service(service: str, process: psutil.Process) -> bool:
    if service == "java":
        return process.name() == "java"
    return process.cmdline()[1:4] == ["-P", "-m", "thale.facade"]


def test_up_analyze_prints_traits_writes_results_and_serves(prepared_home: Path, weights: Path, tmp_path: Path) -> None:
    up = start_thale("up", "--analyze", "sample", "--out", tmp_path / "out", home=prepared_home, weights=weights)
    assert up.stdout is not None
    output = ""
    for line in up.stdout:
        output += line
        if "serving until Ctrl-C" in line:
            break
    assert "thale is ready" in output, output
    assert "whole plate" in output, output
    processes = list_descendants(up.pid)
    results = {path.name.partition(".")[2] for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert results == {"json", "overlay.png", "csv"}  # the random models find no root for an RSML file
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=TIMEOUT_S)
    assert up.returncode == 0
    assert wait_until_all_exited(processes)


def _java_pid(running: PlatformProcess) -> int | None:
    for process in list_descendants(running.process.pid):
        try:
            if process.name() == "java":
                return process.pid
        except psutil.NoSuchProcess:
            continue
    return None


def test_python_m_thale_prints_version() -> None:
    completed = subprocess.run([sys.executable, "-m", "thale", "--version"], capture_output=True, text=True, check=True)
    assert completed.stdout == f"thale {__version__}\n"
