"""Tests of the smoke test: its waits for models that are scaled to zero, and its comparison of lengths."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from deploy.context import DeployContext
from deploy.errors import SmokeError
from deploy.settings import DeploySettings, Environment
from deploy.smoke import _STARTING, compare_traits, send_until_started
from thale.errors import ModelStartingError
from thale.facade.api.problems import to_problem

STARTING = to_problem(ModelStartingError("plate-seg", "1.0.0", 55)).model_dump_json()


@pytest.fixture(name="context")
def make_context(tmp_path: Path) -> DeployContext:
    settings = DeploySettings(environment=Environment.LAPTOP, wait_s=0.3, poll_interval_s=0.01)
    return DeployContext(settings, Console(quiet=True), tmp_path)


def test_smoke_repeats_while_models_start(context: DeployContext) -> None:
    responses = [SmokeError(f"status 503: {STARTING}"), SmokeError(f"status 503: {STARTING}"), b"phenotype"]

    def send() -> bytes:
        response = responses.pop(0)
        if isinstance(response, SmokeError):
            raise response
        return response

    assert _STARTING in STARTING
    assert send_until_started(context, send) == b"phenotype"
    assert not responses


def test_smoke_fails_if_models_never_start(context: DeployContext) -> None:
    def send() -> bytes:
        raise SmokeError(f"status 503: {STARTING}")

    with pytest.raises(SmokeError, match="is scaled to zero"):
        send_until_started(context, send)


def test_smoke_does_not_repeat_other_failures(context: DeployContext) -> None:
    calls: list[int] = []

    def send() -> bytes:
        calls.append(1)
        raise SmokeError("status 503: overloaded")

    with pytest.raises(SmokeError, match="overloaded"):
        send_until_started(context, send)
    assert calls == [1]


MM_PER_PX = 0.1
TRUE_MM = {1: (40.0, 5.0), 2: (30.0, 8.0)}
"""Length of the primary root and of a lateral of each plant."""


def true_plate() -> SimpleNamespace:
    def root(order: int, length_mm: float) -> SimpleNamespace:
        return SimpleNamespace(order=order, points=((0.0, 0.0), (0.0, length_mm / MM_PER_PX)))

    plants = [SimpleNamespace(roots=(root(1, primary), root(2, lateral))) for primary, lateral in TRUE_MM.values()]
    return SimpleNamespace(plants=plants, mm_per_px=MM_PER_PX)


def failed_checks(primaries: list[float], total: float) -> list[str]:
    """Return the failed checks of a measurement with these lengths in mm."""

    def trait(name: str, value: float) -> SimpleNamespace:
        return SimpleNamespace(trait=name, value=value)

    measured = SimpleNamespace(
        plants=[SimpleNamespace(traits=[trait("primary_root_length", length)]) for length in primaries],
        traits=[trait("plate_total_root_length", total)],
        scale=SimpleNamespace(mm_per_px=MM_PER_PX),
    )
    return [check.name for check in compare_traits(measured, true_plate()) if not check.is_within_tolerance]


@pytest.mark.parametrize(
    ("primaries", "total", "failed"),
    [
        ([40.0, 30.0], 83.0, []),
        ([43.9, 27.1], 91.0, []),
        ([44.1, 30.0], 83.0, ["primary root 1, mm"]),
        ([40.0, 26.9], 83.0, ["primary root 2, mm"]),
        ([30.0, 40.0], 83.0, ["primary root 1, mm", "primary root 2, mm"]),
        ([40.0, float("nan")], 83.0, ["primary root 2, mm"]),
        ([40.0, 30.0], 70.0, ["all roots, mm"]),
        ([40.0, 30.0], float("nan"), ["all roots, mm"]),
        ([40.0], 83.0, ["plants", "primary root 2, mm"]),
    ],
)
def test_smoke_compares_each_length(primaries: list[float], total: float, failed: list[str]) -> None:
    assert failed_checks(primaries, total) == failed
