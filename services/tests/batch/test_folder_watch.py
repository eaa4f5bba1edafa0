"""Tests of the watched folder with files that arrive, grow, fail and change."""

import hashlib
import os
from pathlib import Path

import pytest

from thale.batch.folder_watch import MAX_FILE_BYTES, FolderWatch, PollResult
from thale.errors import DamagedImageError, ServerUnreachableError, UnknownExperimentError


class Server:
    """Records added images, and raises the error that a test sets for their bytes."""

    def __init__(self) -> None:
        self.added: list[tuple[str, bytes]] = []
        self.requests = 0
        self.errors: dict[bytes, Exception] = {}

    def add(self, data: bytes, name: str, /) -> None:
        self.requests += 1
        if data in self.errors:
            raise self.errors[data]
        self.added.append((name, data))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reports() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (path := tmp_path / "camera").mkdir()
    return path


@pytest.fixture
def watch(folder: Path, server: Server, reports: list[tuple[str, str]]) -> FolderWatch:
    return FolderWatch(folder, server.add, (), lambda path, reason: reports.append((path, reason)))


def test_poll_waits_while_a_file_grows(watch: FolderWatch, folder: Path, server: Server) -> None:
    for content in (b"a", b"ab", b"abc"):
        (folder / "plate.jpg").write_bytes(content)
        assert watch.poll() == PollResult()
    assert watch.poll() == PollResult(measured=1)
    assert server.added == [("plate.jpg", b"abc")]
    assert watch.poll() == PollResult()


def test_poll_takes_a_renamed_file(watch: FolderWatch, folder: Path, server: Server) -> None:
    (folder / "plate.jpg.part").write_bytes(b"abc")
    for _ in range(3):
        watch.poll()
    assert server.requests == 0
    (folder / "plate.jpg.part").rename(folder / "plate.jpg")
    watch.poll()
    assert watch.poll().measured == 1


def test_poll_sends_equal_bytes_once(watch: FolderWatch, folder: Path, server: Server) -> None:
    (folder / "one.png").write_bytes(b"same")
    (folder / "two.png").write_bytes(b"same")
    watch.poll()
    assert watch.poll() == PollResult(measured=1, known=1)
    assert server.requests == 1


def test_poll_skips_known_images_after_a_restart(folder: Path, server: Server) -> None:
    (folder / "old.tif").write_bytes(b"old")
    (folder / "new.tif").write_bytes(b"new")
    watch = FolderWatch(folder, server.add, [hashlib.sha256(b"old").hexdigest()], lambda *_: None)
    watch.poll()
    assert watch.poll() == PollResult(measured=1, known=1)
    assert server.added == [("new.tif", b"new")]


def test_poll_retries_a_refused_image_when_it_changes(
    watch: FolderWatch, folder: Path, server: Server, reports: list[tuple[str, str]]
) -> None:
    (folder / "bad.jpg").write_bytes(b"bad")
    (folder / "good.jpg").write_bytes(b"good")
    server.errors[b"bad"] = DamagedImageError("the image is truncated")
    watch.poll()
    assert watch.poll() == PollResult(measured=1, failed=1)
    assert [watch.poll() for _ in range(3)] == [PollResult()] * 3
    assert reports == [(str(folder / "bad.jpg"), "the image is truncated")]
    (folder / "bad.jpg").write_bytes(b"repaired")
    watch.poll()
    assert watch.poll() == PollResult(measured=1)
    assert server.requests == 3


def test_poll_resumes_when_the_server_returns(
    watch: FolderWatch, folder: Path, server: Server, reports: list[tuple[str, str]]
) -> None:
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "b.jpg").write_bytes(b"b")
    server.errors = {b"a": ServerUnreachableError("no connection")}
    watch.poll()
    assert [watch.poll().is_interrupted for _ in range(3)] == [True] * 3
    assert len(reports) == 1
    assert "no connection" in reports[0][1]
    server.errors = {}
    assert watch.poll() == PollResult(measured=2)


def test_poll_raises_without_the_experiment(watch: FolderWatch, folder: Path, server: Server) -> None:
    (folder / "a.jpg").write_bytes(b"a")
    server.errors[b"a"] = UnknownExperimentError("salt")
    watch.poll()
    with pytest.raises(UnknownExperimentError):
        watch.poll()


def test_poll_ignores_hidden_and_temporary_files(watch: FolderWatch, folder: Path, server: Server) -> None:
    for name in (".hidden.jpg", "~lock.jpg", "plate.jpg.tmp", "notes.txt", "plate.overlay.png"):
        (folder / name).write_bytes(name.encode())
    watch.poll()
    assert watch.poll() == PollResult()
    assert server.requests == 0


def test_poll_reports_other_files_once(
    watch: FolderWatch, folder: Path, server: Server, reports: list[tuple[str, str]]
) -> None:
    (folder / "raw.cr2").write_bytes(b"raw")
    os.mkfifo(folder / "pipe.jpg")
    for _ in range(3):
        watch.poll()
    assert sorted(Path(path).name for path, _ in reports) == ["pipe.jpg", "raw.cr2"]
    assert server.requests == 0


def test_poll_reads_no_huge_file(
    watch: FolderWatch, folder: Path, server: Server, reports: list[tuple[str, str]]
) -> None:
    with (folder / "huge.tif").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for _ in range(3):
        watch.poll()
    assert [Path(path).name for path, _ in reports] == ["huge.tif"]
    assert server.requests == 0


def test_poll_survives_the_loss_of_the_folder(
    watch: FolderWatch, folder: Path, server: Server, reports: list[tuple[str, str]]
) -> None:
    (folder / "a.jpg").write_bytes(b"a")
    watch.poll()
    away = folder.rename(folder.with_name("away"))
    assert [watch.poll().is_interrupted for _ in range(2)] == [True, True]
    assert len(reports) == 1
    away.rename(folder)
    assert watch.poll() == PollResult(measured=1)
    assert server.added == [("a.jpg", b"a")]


def test_poll_measures_only_new_files_of_ten_thousand(watch: FolderWatch, folder: Path, server: Server) -> None:
    for number in range(10_000):
        (folder / f"{number}.jpg").write_bytes(b"%d" % number)
    watch.poll()
    assert watch.poll() == PollResult(measured=10_000)
    (folder / "new.jpg").write_bytes(b"new")
    watch.poll()
    assert watch.poll() == PollResult(measured=1)
