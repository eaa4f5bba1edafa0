"""Tests of the ahead-of-time cache: recording, validation and cancellation."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import wait_for, wait_until_all_exited
from thale.local import aot_cache, aot_cache_build
from thale.local.data_dir import DataDir
from thale.local.runtime import ModelRuntime, find_runtime

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def runtime() -> ModelRuntime:
    return find_runtime()


@pytest.fixture(scope="module")
def cached_data_dir(runtime: ModelRuntime, tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    data_dir = DataDir(tmp_path_factory.mktemp("home"))
    aot_cache_build.record_aot_cache(runtime, data_dir)
    return data_dir


def test_java_accepts_recorded_cache(runtime: ModelRuntime, cached_data_dir: DataDir) -> None:
    options = aot_cache.options(runtime, cached_data_dir)
    assert options
    command = [*runtime.java_command("/tmp", *options, "-XX:AOTMode=on"), "--no-such-option"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.stdout.startswith("usage:"), completed  # with AOTMode=on, Java fails without a valid cache


def test_options_ignore_damaged_cache(runtime: ModelRuntime, cached_data_dir: DataDir, tmp_path: Path) -> None:
    shutil.copytree(cached_data_dir.path / "java", tmp_path / "java")
    cache = next((tmp_path / "java").glob("*.aot"))
    intact = cache.read_bytes()
    assert aot_cache.options(runtime, DataDir(tmp_path))
    for damaged in (intact[:-1], intact[:99] + bytes([intact[99] ^ 1]) + intact[100:], b""):
        cache.write_bytes(damaged)
        assert aot_cache.options(runtime, DataDir(tmp_path)) == []


def test_options_ignore_cache_of_other_inputs(runtime: ModelRuntime, cached_data_dir: DataDir, tmp_path: Path) -> None:
    (tmp_path / "config.properties").write_text("vmargs=-Xmx2g\n")
    shutil.copytree(runtime.frontend, tmp_path / "frontend")
    for change in ({"settings": tmp_path / "config.properties"}, {"frontend": tmp_path / "frontend"}):
        assert aot_cache.options(dataclasses.replace(runtime, **change), cached_data_dir) == []


def test_cancelled_recording_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    before = set(psutil.Process().children(recursive=True))

    def started_processes() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if child not in before]

    with aot_cache_build.record_aot_cache_in_background(data_dir, delay_s=0):
        wait_for("Java", lambda: any(child.name() == "java" for child in started_processes()))
        processes = started_processes()
    assert wait_until_all_exited(processes)
    assert list(tmp_path.iterdir()) == []


def test_existing_cache_is_not_recorded_again(cached_data_dir: DataDir) -> None:
    before = psutil.Process().children(recursive=True)
    with aot_cache_build.record_aot_cache_in_background(cached_data_dir):
        assert psutil.Process().children(recursive=True) == before
