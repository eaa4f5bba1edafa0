"""The command line, for real: `thale up` and `thale analyze` as a user runs them, with tiny models."""

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


def save_plate(path: Path, shift: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(seedlings() + shift).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as people have it: images, one of them twice, equal names, damage, and other files."""
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


def test_a_folder_with_good_and_bad_images_becomes_results_and_a_list_of_reasons(
    platform: PlatformProcess, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = platform.run("analyze", photos, "--recursive", "--out", out, "--mm-per-px", "0.25", "--coco")
    assert done.returncode == 1, done.stdout
    for name in ("one", "copy", "day2/one"):
        phenotype = Phenotype.model_validate_json((out / f"{name}.json").read_bytes())
        assert (phenotype.image.name, phenotype.scale.mm_per_px) == (f"{name}.png", 0.25)
        assert (out / f"{name}.overlay.png").read_bytes().startswith(b"\x89PNG")
        assert b"<rsml" in (out / f"{name}.rsml").read_bytes()
    for table in ("traits.csv", "traits_wide.csv"):
        assert {row["image"] for row in rows(out / table)} == {"one.png", "copy.png", "day2/one.png"}
    assert {image["file_name"] for image in json.loads((out / "coco.json").read_text())["images"]} >= {"one.png"}
    assert [Path(row["file"]).name for row in rows(out / "failed.csv")] == ["cut.jpg", "empty.png"]
    for expected_text in (
        "3 measured",
        "2 failed",
        "1 other files passed over",
        "cut.jpg: ",
        "empty.png: ",
        "a copy of",
    ):
        assert expected_text in done.stdout

    (photos / "cut.jpg").unlink()
    (photos / "empty.png").unlink()
    save_plate(photos / "one.png", shift=2)
    before = (out / "copy.json").read_bytes()
    again = platform.run("analyze", photos, "--recursive", "--out", out, "--mm-per-px", "0.25")
    assert again.returncode == 0, again.stdout
    assert "1 measured, 2 skipped (already measured)" in again.stdout
    assert (out / "copy.json").read_bytes() == before
    assert not (out / "failed.csv").exists()

    other = platform.run("analyze", photos / "one.png", photos / "copy.png", "--out", out, "--mm-per-px", "0.2")
    assert "2 measured, 0 skipped (already measured)" in other.stdout


def test_one_image_is_shown_as_a_table_with_units(platform: PlatformProcess, tmp_path: Path) -> None:
    plate = save_plate(tmp_path / "plate.png")
    done = platform.run("analyze", plate, "--out", tmp_path / "out", "--mm-per-px", "0.25")
    assert done.returncode == 0, done.stdout
    for expected_text in (
        "plate.png",
        "240 x 200 px",
        "0.2500 mm/px (given)",
        "plate-seg 1.0.0",
        "whole plate",
        "unit",
    ):
        assert expected_text in done.stdout


def test_the_models_are_listed(platform: PlatformProcess) -> None:
    done = platform.run("models")
    assert done.returncode == 0
    for expected_text in ("plate-seg", "plate-landmarks", "1.0.0", "ready", "100 %"):
        assert expected_text in done.stdout


def test_a_second_platform_on_the_same_home_is_refused(platform: PlatformProcess) -> None:
    done = platform.run("up")
    assert done.returncode == 1
    assert "thale already runs on" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected_text"),
    [
        (["analyze", "gone.png", "--out", "OUT"], "no file or folder 'gone.png'"),
        (["analyze", ".", "--out", "OUT"], "there are no images"),
        (["analyze", ".", "--out", "OUT", "--mm-per-px", "-1"], "not a positive number"),
        (["analyze", "plate.png", "--out", "OUT", "--model", "nobody"], "no model is called"),
        (["up", "--analyze", "gone.png"], "no file 'gone.png'"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2(
    platform: PlatformProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected_text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "plate.png" in arguments:
        save_plate(tmp_path / "plate.png")
    done = platform.run(*(str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments))
    assert (done.returncode, expected_text in done.stdout) == (2, True), done.stdout


def test_a_server_that_goes_away_ends_the_run_and_not_every_image(weights: Path, tmp_path: Path, photos: Path) -> None:
    home = tmp_path / "home"
    command = start_thale(
        "analyze", photos / "one.png", "--out", tmp_path, "--server", "http://127.0.0.1:9", home=home, weights=weights
    )
    out, _ = command.communicate(timeout=TIMEOUT_S)
    assert command.returncode == 1
    assert "no answer from http://127.0.0.1:9" in out


def test_without_a_server_the_models_command_says_how_to_start_one(weights: Path, tmp_path: Path) -> None:
    out, _ = start_thale("models", home=tmp_path, weights=weights).communicate(timeout=TIMEOUT_S)
    assert "start one with `thale up`" in out


@pytest.fixture
def stocked_home(platform: PlatformProcess, tmp_path: Path) -> Path:
    """A home whose models are archived already."""
    home = tmp_path / "home"
    for folder in ("model-store", "openvino", "java"):
        if (platform.home / folder).is_dir():  # Java's cache may not be made yet
            shutil.copytree(platform.home / folder, home / folder, ignore=shutil.ignore_patterns(".*"))
    return home


def test_a_run_that_was_killed_leaves_no_process_and_goes_on_where_it_stopped(
    stocked_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(6)]
    arguments = ("analyze", tmp_path / "photos", "--out", tmp_path / "out", "--mm-per-px", "0.25")
    killed = start_thale(*arguments, home=stocked_home, weights=weights)
    wait_for("a result", lambda: any((tmp_path / "out").glob("*.json")) or killed.poll() is not None)
    family = list_descendants(killed.pid)
    assert len(list_workers(killed.pid)) == 2
    killed.kill()
    killed.wait()
    assert wait_until_all_exited(family)

    out, _ = (again := start_thale(*arguments, home=stocked_home, weights=weights)).communicate(timeout=TIMEOUT_S)
    assert again.returncode == 0, out
    measured = {row["image"] for row in rows(tmp_path / "out" / "traits.csv")}
    assert measured == {plate.name for plate in plates}
    assert not list((tmp_path / "out").glob(".*.part"))


def test_ctrl_c_ends_a_run_cleanly_and_the_same_command_does_the_rest(
    platform: PlatformProcess, stocked_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(12)]
    results = tmp_path / "out"
    arguments = ("analyze", tmp_path / "photos", "--out", results, "--mm-per-px", "0.25")
    stopped = start_thale(*arguments, home=stocked_home, weights=weights)
    wait_for("a result", lambda: any(results.glob("*.json")) or stopped.poll() is not None)
    family = list_descendants(stopped.pid)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=TIMEOUT_S)
    assert stopped.returncode == 130, output
    assert "the same command goes on from here" in output
    assert "left to do" in output
    assert wait_until_all_exited(family)
    done = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 1 <= len(done) < len(plates)
    assert {row["image"] for row in rows(results / "traits.csv")} == {Path(name).stem + ".png" for name in done}

    again = platform.run(*arguments)
    assert again.returncode == 0, again.stdout
    assert f"{len(plates) - len(done)} measured, {len(done)} skipped (already measured)" in again.stdout
    assert {name: (results / name).stat().st_mtime_ns for name in done} == done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_thale_up_no_process_is_left(stocked_home: Path, weights: Path, number: signal.Signals) -> None:
    up = start_thale("up", home=stocked_home, weights=weights)
    wait_for("the workers", lambda: len(list_workers(up.pid)) == 2)
    family = list_descendants(up.pid)
    up.send_signal(number)
    up.wait(TIMEOUT_S)
    assert wait_until_all_exited(family)
    assert up.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)


def test_a_killed_torchserve_comes_back_and_the_user_is_told(stocked_home: Path, weights: Path, tmp_path: Path) -> None:
    plate = save_plate(tmp_path / "plate.png")
    with run_platform(stocked_home, weights) as running:
        java = [process for process in list_descendants(running.process.pid) if process.name() == "java"]
        java[0].kill()
        wait_for("a new TorchServe", lambda: _java_pid(running) not in (None, java[0].pid))
        done = running.run("analyze", plate, "--out", tmp_path / "out", "--mm-per-px", "0.25")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", ["java", "facade"])
def test_a_service_that_dies_under_a_run_costs_no_image(
    service: str, stocked_home: Path, weights: Path, tmp_path: Path
) -> None:
    plates = [save_plate(tmp_path / "photos" / f"{number}.png", number) for number in range(8)]
    results = tmp_path / "out"
    arguments = ("analyze", tmp_path / "photos", "--out", results, "--mm-per-px", "0.25")
    with run_platform(stocked_home, weights) as running:
        run = start_thale(*arguments, home=stocked_home, weights=weights)
        wait_for("a result", lambda: any(results.glob("*.json")) or run.poll() is not None)
        victims = [process for process in list_descendants(running.process.pid) if _is_service(service, process)]
        victims[0].kill()
        output, _ = run.communicate(timeout=TIMEOUT_S)
        if run.returncode != 0:  # it was away for longer than the client's patience
            assert run.returncode == 1, output
            assert "left to do" in output
            again = running.run(*arguments)
            assert again.returncode == 0, again.stdout
    assert {row["image"] for row in rows(results / "traits.csv")} == {plate.name for plate in plates}
    assert not (results / "failed.csv").exists()


def _is_service(service: str, process: psutil.Process) -> bool:
    if service == "java":
        return process.name() == "java"
    return process.cmdline()[1:3] == ["-m", "thale.facade"]


def test_up_with_an_image_shows_its_traits_writes_its_results_and_serves_on(
    stocked_home: Path, weights: Path, tmp_path: Path
) -> None:
    up = start_thale("up", "--analyze", "sample", "--out", tmp_path / "out", home=stocked_home, weights=weights)
    assert up.stdout is not None
    output = ""
    for line in up.stdout:
        output += line
        if "serving until Ctrl-C" in line:
            break
    assert "thale is ready" in output, output
    assert "whole plate" in output, output
    family = list_descendants(up.pid)
    results = {path.name.partition(".")[2] for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert results == {"json", "overlay.png", "rsml", "csv"}
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=TIMEOUT_S)
    assert up.returncode == 0
    assert wait_until_all_exited(family)


def _java_pid(running: PlatformProcess) -> int | None:
    for process in list_descendants(running.process.pid):
        try:
            if process.name() == "java":
                return process.pid
        except psutil.NoSuchProcess:
            continue
    return None


def test_the_version_is_told_and_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "thale", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"thale {__version__}\n"
