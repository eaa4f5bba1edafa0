from pathlib import Path

import pytest

from thale.schemas import ReleaseState
from thale_models.default_models import main


def test_a_folder_gets_archives_and_the_record_of_what_answers_and_a_second_time_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 0
    release_state = ReleaseState.model_validate_json((tmp_path / "release-state.json").read_bytes())
    assert release_state.models.keys() == {"plate-seg", "plate-landmarks"}
    assert "plate-seg 1.0.0" in capsys.readouterr().out
    modified_at_ns = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert main(tmp_path) == 0
    assert {path: path.stat().st_mtime_ns for path in modified_at_ns} == modified_at_ns


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert main(in_the_way) == 1
    assert str(in_the_way) in capsys.readouterr().err
