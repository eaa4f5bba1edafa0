"""Tests of the facade's settings that read a file at the start, and of its imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.sample_error_models import sample_error_model
from thale.errors import describe_settings_error
from thale.facade.settings import FacadeSettings


def test_settings_accept_a_folder_of_error_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.json").write_text(sample_error_model().model_dump_json())
    monkeypatch.setenv("THALE_ERROR_MODELS_PATH", str(tmp_path))
    assert FacadeSettings(release_state_path=tmp_path).error_models_path == tmp_path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "has no error model"),
        ("{}", r"has an invalid error model: mine\.json: "),
        (sample_error_model().model_dump_json().replace("contrast", "colour"), "does not compute the features"),
    ],
)
def test_settings_reject_a_folder_without_valid_error_model(text: str | None, reason: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "mine.json").write_text(text)
    with pytest.raises(ValidationError, match=reason):
        FacadeSettings(release_state_path=tmp_path, error_models_path=tmp_path)


@pytest.mark.slow
def test_facade_starts_without_image_processing() -> None:
    heavy = ("scipy", "skimage", "torch", "thale.phenotyping")
    program = f"import sys, thale.facade.app; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "url", ["postgresql://thale:secret@db/thale", "mysql://thale@db/thale", "postgresql+psycopg://thale@db/thale", "x"]
)
def test_database_url_is_postgresql_without_a_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FacadeSettings(release_state_path="state.json", experiments_path="x", experiments_database_url=url)
    assert "secret" not in describe_settings_error(caught.value)


def test_experiment_store_needs_a_folder() -> None:
    with pytest.raises(ValidationError, match="THALE_EXPERIMENTS_PATH"):
        FacadeSettings(release_state_path="state.json", experiments_database_url="postgresql://thale@db/thale")


def test_entra_token_for_the_database_excludes_a_password() -> None:
    source = {"release_state_path": "state.json", "experiments_path": "x", "experiments_database_entra": True}
    url = "postgresql://thale@db/thale"
    with pytest.raises(ValidationError, match="THALE_EXPERIMENTS_DATABASE_URL"):
        FacadeSettings(**source)
    with pytest.raises(ValidationError, match="two sources of passwords"):
        FacadeSettings(**source, experiments_database_url=url, experiments_database_password_path="password")
    assert FacadeSettings(**source, experiments_database_url=url).experiments_database_entra
