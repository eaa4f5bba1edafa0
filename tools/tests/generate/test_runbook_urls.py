"""Runbook URLs of alerts."""

import pytest

from tools.generate.runbook_urls import read_base_url, rule_files, runbook_url, with_base_url


def test_base_url_is_absolute() -> None:
    assert read_base_url().startswith("https://")
    assert runbook_url("ThaleFacadeDown") == f"{read_base_url()}#thalefacadedown"


@pytest.mark.parametrize("old", ["observability/runbooks.md", "https://old.example/runbooks.md"])
def test_with_base_url_replaces_the_base_only(old: str) -> None:
    text = f"  runbook_url: {old}#thalefacadedown\n  description: see runbooks.md#x\n"
    expected = "  runbook_url: https://new.example/r#thalefacadedown\n  description: see runbooks.md#x\n"
    assert with_base_url(text, "https://new.example/r") == expected


def test_files_have_the_configured_base() -> None:
    for path in rule_files():
        assert path.read_text() == with_base_url(path.read_text(), read_base_url()), f"{path}: run `make generate`"
