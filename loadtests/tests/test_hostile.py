"""Hostile requests are told from refusals that are right."""

from loadtests.hostile import Attack, Refusal, _asked, _posted, fault

POSTED = _posted("text", b"x", {415})


def told(status: int, seconds: float = 0.1, retry_after: str | None = None, attack: Attack = POSTED) -> str | None:
    return fault(attack, Refusal(status, retry_after, seconds, 10))


def test_the_right_refusal_soon_is_right() -> None:
    assert told(415) is None


def test_an_answer_or_another_refusal_is_not() -> None:
    assert told(200) == "200 after 0.10 s, not 415"
    assert told(500) == "500 after 0.10 s, not 415"


def test_the_right_refusal_too_late_is_not() -> None:
    assert "not within 1 s" in str(told(415, seconds=3))


def test_no_room_is_right_where_it_says_when_to_come_back() -> None:
    assert told(503, retry_after="4") is None
    assert "without Retry-After" in str(told(503))


def test_what_needs_no_room_is_not_told_that_there_is_none() -> None:
    assert told(503, retry_after="4", attack=_asked("path", "GET", "/x", {404})) is not None
