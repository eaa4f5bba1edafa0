"""Tests of the settings reference."""

import pytest
from pydantic_settings import BaseSettings

from tools.generate.settings_reference import PAGE, SERVICES, field_documentation, render_page


def test_settings_md_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: make generate"


@pytest.mark.parametrize("cls", SERVICES.values(), ids=lambda cls: str(cls.__name__))
def test_each_setting_has_documentation(cls: type[BaseSettings]) -> None:
    assert set(field_documentation(cls)) == set(cls.model_fields)


def test_settings_name_each_other_by_their_variable() -> None:
    row = next(line for line in render_page().splitlines() if line.startswith("| `THALE_ENTRA_TENANT_ID` |"))
    assert "It requires `THALE_ENTRA_AUDIENCE`." in row


def test_setting_with_an_alias_has_its_variable() -> None:
    assert "| `AZURE_AUTHORITY_HOST` | `https://login.microsoftonline.com` |" in render_page()
