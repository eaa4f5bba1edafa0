"""Hostile requests are told from refusals that are right."""

from loadtests.hostile import HostileRequest, Outcome, _bodyless_request, _post_request, unexpected_outcome

REQUEST = _post_request("text", b"x", {415})


def outcome_of(
    status: int, duration_s: float = 0.1, retry_after: str | None = None, request: HostileRequest = REQUEST
) -> str | None:
    return unexpected_outcome(request, Outcome(status, retry_after, duration_s, 10))


def test_the_right_refusal_soon_is_right() -> None:
    assert outcome_of(415) is None


def test_an_answer_or_another_refusal_is_not() -> None:
    assert outcome_of(200) == "200 after 0.10 s, not 415"
    assert outcome_of(500) == "500 after 0.10 s, not 415"


def test_the_right_refusal_too_late_is_not() -> None:
    assert "not within 1 s" in str(outcome_of(415, duration_s=3))


def test_no_room_is_right_where_it_says_when_to_come_back() -> None:
    assert outcome_of(503, retry_after="4") is None
    assert "without Retry-After" in str(outcome_of(503))


def test_what_needs_no_room_is_not_told_that_there_is_none() -> None:
    assert outcome_of(503, retry_after="4", request=_bodyless_request("path", "GET", "/x", {404})) is not None
