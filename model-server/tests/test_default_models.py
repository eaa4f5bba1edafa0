"""Tests of the command that writes the default models for containers."""

from pathlib import Path

import pytest

from thale.schemas import ReleaseState
from thale_models.default_models import main


@pytest.mark.slow
def test_main_writes_archives_and_release_state_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 0
    release_state = ReleaseState.model_validate_json((tmp_path / "release-state.json").read_bytes())
    assert release_state.models.keys() == {"plate-seg", "plate-landmarks"}
    assert "plate-seg 1.0.0" in capsys.readouterr().out
    modified_at_ns = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert main(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in modified_at_ns} == modified_at_ns


def test_main_names_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    existing_file = tmp_path / "file"
    existing_file.touch()
    assert main(existing_file) == 1
    assert str(existing_file) in capsys.readouterr().err
