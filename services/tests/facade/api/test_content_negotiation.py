"""Tests of the choice of the response format by the Accept header."""

import pytest

from thale.errors import NotAcceptableError
from thale.facade.api.content_negotiation import best_media_type

OFFERED = ("application/json", "image/png", "application/rsml+xml", "text/csv")


@pytest.mark.parametrize(
    ("accept", "expected_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/*", "image/png"),
        ("text/html, text/csv;q=0.5, */*;q=0.1", "text/csv"),
        ("application/json;q=0, */*", "image/png"),
        ("application/json;q=0.2, text/csv; charset=utf-8; q=0.8", "text/csv"),
        ("application/rsml+xml, application/json", "application/json"),
        ("nonsense", "application/json"),
        (";;;,,,/", "application/json"),
    ],
)
def test_best_media_type_has_the_highest_quality(accept: str | None, expected_type: str) -> None:
    assert best_media_type(accept, OFFERED) == expected_type


@pytest.mark.parametrize("accept", ["video/mp4", "*/*;q=0", "image/png;q=0", "text/csv;q=often", "text/csv;q=nan"])
def test_unacceptable_types_are_rejected_with_offered_types(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="rsml"):
        best_media_type(accept, OFFERED)
