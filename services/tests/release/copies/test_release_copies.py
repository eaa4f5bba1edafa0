"""Copies of releases: the order of changes, concurrent controllers, and a new cluster."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.sample_releases import make_release, make_version
from thale.errors import StoreError
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.release.registry.stores import FolderStore
from thale.schemas import Release

MODEL = "plate-seg"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def at(time: str) -> Author:
    return Author(who="anna", why="better on dark plates", at=f"2026-11-21T{time}+00:00")


def promoted(time: str = "12:00:00.250") -> Release:
    canary = transitions.start_canary(make_release(), make_version("1.1.0"), at("11:00:00"))
    return transitions.promote(canary, at(time))


@pytest.fixture
def copies(tmp_path: Path) -> ReleaseCopies:
    return ReleaseCopies(FolderStore(tmp_path))


def test_latest_is_the_last_change(copies: ReleaseCopies, tmp_path: Path) -> None:
    release = promoted()
    assert copies.save(release, NOON)
    assert copies.save(make_release(), NOON)
    latest = copies.latest(MODEL)
    assert latest is not None
    assert (latest.release, latest.saved_at) == (release, "2026-11-30T12:00:00+00:00")
    assert [path.name[:20] for path in sorted(tmp_path.glob("plate-seg/*"))] == [
        "00000000T000000000Z-",
        "20261121T120000250Z-",
    ]


def test_model_without_a_copy_has_no_latest(copies: ReleaseCopies) -> None:
    assert copies.latest(MODEL) is None


def test_second_controller_writes_no_second_copy(copies: ReleaseCopies, tmp_path: Path) -> None:
    assert copies.save(promoted(), NOON)
    assert not copies.save(promoted(), NOON.replace(hour=13))
    assert len(list(tmp_path.glob("plate-seg/*"))) == 1


def test_late_write_of_an_old_state_does_not_win(copies: ReleaseCopies) -> None:
    """A controller that lost its lease may write after the next leader."""
    copies.save(promoted(), NOON)
    copies.save(transitions.start_canary(make_release(), make_version("1.1.0"), at("11:00:00")), NOON.replace(hour=14))
    latest = copies.latest(MODEL)
    assert latest is not None
    assert latest.release.stable == "1.1.0"


def test_first_release_of_a_new_cluster_does_not_win(copies: ReleaseCopies) -> None:
    copies.save(promoted(), NOON)
    copies.save(make_release(), NOON.replace(day=1, month=12))
    latest = copies.latest(MODEL)
    assert latest is not None
    assert latest.release.stable == "1.1.0"


def test_change_with_kubectl_is_ordered_by_its_copy(copies: ReleaseCopies) -> None:
    """Such a change has no event in the history."""
    edited = promoted().model_copy(update={"steps": (50.0, 100.0)})
    copies.save(promoted(), NOON)
    copies.save(edited, NOON.replace(hour=13))
    latest = copies.latest(MODEL)
    assert latest is not None
    assert latest.release == edited


def test_damaged_copy_is_an_error(copies: ReleaseCopies, tmp_path: Path) -> None:
    copies.save(promoted(), NOON)
    (path,) = tmp_path.glob("plate-seg/*")
    path.chmod(0o644)
    path.write_text("{}")
    with pytest.raises(StoreError, match="is not a valid copy of a release"):
        copies.latest(MODEL)
