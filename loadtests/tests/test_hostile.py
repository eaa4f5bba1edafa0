"""Tests of the expected responses to hostile requests."""

from loadtests.hostile import HostileRequest, ResponseOutcome, _bodyless_request, _post_request, unexpected_outcome

REQUEST = _post_request("text", b"x", {415})


def outcome_of(
    status: int, duration_s: float = 0.1, retry_after: str | None = None, request: HostileRequest = REQUEST
) -> str | None:
    return unexpected_outcome(request, ResponseOutcome(status, retry_after, duration_s, 10))


def test_unexpected_outcome_accepts_the_expected_rejection() -> None:
    assert outcome_of(415) is None


def test_unexpected_outcome_reports_another_status() -> None:
    assert outcome_of(200) == "200 after 0.10 s, not 415"
    assert outcome_of(500) == "500 after 0.10 s, not 415"


def test_unexpected_outcome_reports_a_late_rejection() -> None:
    assert "not within 1 s" in str(outcome_of(415, duration_s=3))


def test_unexpected_outcome_accepts_503_only_with_retry_after() -> None:
    assert outcome_of(503, retry_after="4") is None
    assert "without Retry-After" in str(outcome_of(503))


def test_unexpected_outcome_reports_503_without_a_needed_slot() -> None:
    assert outcome_of(503, retry_after="4", request=_bodyless_request("path", "GET", "/x", {404})) is not None
