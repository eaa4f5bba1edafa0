"""Tests of the HTTP reference."""

import json
import re
from typing import Any

import pytest

from tools.generate.http_reference import DOCUMENT, PAGE, render_page


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return loaded


def test_http_md_is_up_to_date(document: dict[str, Any]) -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(document), "run: make generate"


def test_reference_has_each_operation_and_object(document: dict[str, Any]) -> None:
    headings = set(re.findall(r"^### (\w+)$", render_page(document), re.MULTILINE))
    operations = {each["operationId"] for item in document["paths"].values() for each in item.values()}
    assert headings == operations | set(document["components"]["schemas"])


def test_reference_states_parameters_bounds_and_errors(document: dict[str, Any]) -> None:
    section = render_page(document).partition("### measurePhenotype")[2].partition("\n### ")[0]
    assert "| `mm_per_px` | query | number (> 0) |" in section
    assert re.search(r"\| 200 \| .*`application/json` \(\[Phenotype\]\(#phenotype\)\)", section)
    assert re.search(r"\| 422 \| .*`scale`: The scale is implausible\.", section)
    assert "`X-Request-Id`" not in section


def test_reference_marks_nullable_and_optional_fields(document: dict[str, Any]) -> None:
    section = render_page(document).partition("### TraitValue")[2].partition("\n### ")[0]
    assert "| `value` | number or null |" in section
    assert "| `interval` | [number, number] or null |" in section
    assert "| `id` (optional) |" in render_page(document).partition("### InferRequest")[2].partition("\n### ")[0]
