"""Tests of the smoke test: it waits for models that are scaled to zero, and for nothing else."""

from pathlib import Path

import pytest
from rich.console import Console

from deploy.context import DeployContext
from deploy.errors import SmokeError
from deploy.settings import DeploySettings, Environment
from deploy.smoke import _STARTING, send_until_started
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
