"""Tests of the deadline that a model request sends to its worker."""

import math
import time

import pytest

from thale.models import worker_deadline
from thale.models.worker_deadline import encode_deadline, parse_remaining_s


def test_deadline_is_the_same_in_another_process() -> None:
    assert parse_remaining_s(encode_deadline(30.0)) == pytest.approx(30.0, abs=1.0)
    assert parse_remaining_s(encode_deadline(-5.0)) == pytest.approx(-5.0, abs=1.0)


def test_deadline_ignores_a_jump_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    if worker_deadline._boot_id() == "-":
        pytest.skip("this system has no boot ID")
    value = encode_deadline(30.0)
    wall_s = time.time()
    monkeypatch.setattr(time, "time", lambda: wall_s + 3600)
    assert parse_remaining_s(value) > 20


def test_deadline_of_another_machine_uses_the_wall_clock() -> None:
    assert parse_remaining_s(f"another-boot 5.0 {time.time() + 30}") == pytest.approx(30.0, abs=1.0)


@pytest.mark.parametrize("value", ["", "a b", "a b c", "a nan nan", "a 1 2 3"])
def test_invalid_deadline_is_ignored(value: str) -> None:
    assert parse_remaining_s(value) == math.inf
