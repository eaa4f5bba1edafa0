"""Java's cache: used where it is whole and fits, made anew where not, and given up without a trace."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import all_gone, wait_for
from thale.local import aot_cache, aot_cache_build
from thale.local.data_dir import Home
from thale.local.runtime import Installed, find_installed


@pytest.fixture(scope="module")
def installed() -> Installed:
    return find_installed()


@pytest.fixture(scope="module")
def trained(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    aot_cache_build.train(installed, home)
    return home


def test_java_takes_the_cache_that_was_made(installed: Installed, trained: Home) -> None:
    options = aot_cache.options(installed, trained)
    assert options
    insisting = [*installed.java_command("/tmp", *options, "-XX:AOTMode=on"), "--no-such-option"]
    done = subprocess.run(insisting, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("usage:"), done  # it began, and would not have without the cache


def test_a_damaged_cache_is_not_used(installed: Installed, trained: Home, tmp_path: Path) -> None:
    shutil.copytree(trained.folder / "java", tmp_path / "java")
    cache = next((tmp_path / "java").glob("*.aot"))
    whole = cache.read_bytes()
    assert aot_cache.options(installed, Home(tmp_path))
    for damaged in (whole[:-1], whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], b""):
        cache.write_bytes(damaged)
        assert aot_cache.options(installed, Home(tmp_path)) == []


def test_a_cache_of_other_settings_or_another_torchserve_is_not_used(
    installed: Installed, trained: Home, tmp_path: Path
) -> None:
    (tmp_path / "config.properties").write_text("vmargs=-Xmx2g\n")
    shutil.copytree(installed.frontend, tmp_path / "frontend")
    for change in ({"settings": tmp_path / "config.properties"}, {"frontend": tmp_path / "frontend"}):
        assert aot_cache.options(dataclasses.replace(installed, **change), trained) == []


def test_a_training_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    before = set(psutil.Process().children(recursive=True))

    def begun() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if child not in before]

    with aot_cache_build.in_background(home, patience_s=0):
        wait_for("Java", lambda: any(child.name() == "java" for child in begun()))
        family = begun()
    assert all_gone(family)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_made_again(trained: Home) -> None:
    before = psutil.Process().children(recursive=True)
    with aot_cache_build.in_background(trained):
        assert psutil.Process().children(recursive=True) == before
