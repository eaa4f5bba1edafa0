"""The `Server-Timing` header: round trip, and tolerance of invalid entries."""

import pytest

from thale.telemetry.server_timing import Timing, read_timing


def test_server_timing_round_trip() -> None:
    timing = Timing({"decode": 0.0123, "transform": 0.0, "inference": 12.5, "encode": 0.001}, batch_size=4)
    assert (
        timing.to_header()
        == 'decode;dur=12.300, transform;dur=0.000, inference;dur=12500.000, encode;dur=1.000, batch;desc="4"'
    )
    assert read_timing(timing.to_header()) == timing
    assert read_timing("") == Timing()


@pytest.mark.parametrize(
    "header",
    [
        "decode",
        "decode;dur=",
        "decode;dur=nan",
        "decode;dur=inf",
        "decode;dur=1e999",
        "decode;dur=-1",
        "decode;dur=--1",
        "decode;dur=0x10",
        "rm -rf;dur=1",
        "queue;dur=1",
        "batch;desc=0",
        'batch;desc="many"',
        f"decode;dur={'9' * 400}",
        ",".join(["decode;dur=1"] * 1000),
        '"; drop, \x00, ,,;=',
    ],
)
def test_read_timing_ignores_invalid_entries(header: str) -> None:
    assert read_timing(header) == Timing()


def test_read_timing_keeps_valid_entries_among_invalid_ones() -> None:
    assert read_timing('cache;desc="hit", decode;dur=3 , net;dur=1;desc="x", batch;desc=2') == Timing(
        {"decode": 0.003}, 2
    )
