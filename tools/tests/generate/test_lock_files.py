"""Tests of the lock files: they match pyproject.toml and constraints.txt, and each package has a hash."""

from pathlib import Path

import pytest

from tools.generate import lock_files
from tools.generate.lock_files import FOLDER, LOCKS, Lock, LockedPackage, find_problems, read_lock

HASH = (f"sha256:{'0' * 64}",)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_file_matches_its_declarations(name: str) -> None:
    packages = read_lock(FOLDER / f"{name}.txt")
    assert packages
    assert find_problems(LOCKS[name], packages) == [], "run make lock"


def test_each_lock_file_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(LOCKS)
    assert {path.stem for path in FOLDER.glob("*.in")} == {name for lock in LOCKS.values() for name in lock.inputs}


def test_torch_is_in_the_lock_file_for_cuda_only() -> None:
    cuda = {"torch", "triton", "cuda-toolkit", "nvidia-cudnn-cu13"}
    for name in LOCKS:
        assert (cuda & read_lock(FOLDER / f"{name}.txt").keys()) == (cuda if name == "cuda" else set())


def test_cuda_lock_completes_the_model_server_lock() -> None:
    """The image installs both without dependencies, so that together they must have each package of constraints.txt."""
    cuda, server = (read_lock(FOLDER / f"{name}.txt") for name in ("cuda", "model-server"))
    assert not cuda.keys() & server.keys()
    torch_packages = {
        name
        for name in lock_files.read_constraints()
        if name in ("torch", "triton") or name.startswith(("cuda-", "nvidia-"))
    }
    assert cuda.keys() == torch_packages


def test_find_problems_names_each_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools.in").write_text("# comment\nold>=2\nmissing\nplain\n")
    (tmp_path / "constraints.txt").write_text("# comment\nold==1.0\nplain==1.0\n")
    monkeypatch.setattr(lock_files, "FOLDER", tmp_path)
    monkeypatch.setattr(lock_files, "CONSTRAINTS", tmp_path / "constraints.txt")
    packages = {
        "old": LockedPackage("1.0", HASH),
        "plain": LockedPackage("1.1", HASH),
        "new": LockedPackage("3.0", ()),
    }
    assert find_problems(Lock(inputs=("tools",)), packages) == [
        "new has no hash",
        "old>=2 is declared, 1.0 is locked",
        "missing is missing",
        "constraints.txt has plain 1.0, 1.1 is locked",
        "new==3.0 is missing in constraints.txt",
    ]


def test_read_lock_rejects_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "lock.txt"
    path.write_text(f"# comment\nplain==1.0 ; sys_platform == 'linux' \\\n    --hash={HASH[0]}\n")
    assert read_lock(path) == {"plain": LockedPackage("1.0", HASH)}
    for line in ("plain>=1", "--index-url https://example.org", "plain @ https://example.org/plain.whl"):
        path.write_text(f"{line}\n")
        with pytest.raises(ValueError, match="run make lock"):
            read_lock(path)
