"""`thale release simulate`: a simulated rollout without real traffic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from thale.cli.rollout_tables import format_duration
from thale.cli.target_options import TargetOptions
from thale.errors import InvalidTransitionError, ParameterError
from thale.release.judge.policy import JudgePolicy
from thale.release.lifecycle import transitions
from thale.release.simulation.simulate import Faults, SimulationResult, simulate
from thale.release.simulation.traffic import Traffic, read_traffic, sample_traffic
from thale.release.targets.update import author_now
from thale.schemas import Release, VersionManifest
from thale.slo import Slo

_FAULT_FIELDS = {
    "errors": "error_rate",
    "latency": "latency_factor",
    "dice": "dice_drop",
    "deaths": "death_every_s",
    "after": "begins_s",
}
_FAULT_FLAGS = {"background": "all_background"}
_COLOURS = {"promoted": "green", "rolled back": "red", "undecided": "yellow"}


@dataclass(frozen=True)
class SimulateOptions:
    """Options of `thale release simulate`."""

    model: str
    version: str | None
    """Registered version. None simulates the stable version under the next patch number."""
    faults: Faults
    traffic: Path | None
    """File of recorded requests. None samples requests."""
    requests_per_s: float
    duration_s: float
    seed: int


def read_faults(specs: Sequence[str]) -> Faults:
    """Parse the faults of the canary, such as errors=0.05, latency=3, dice=0.05, background, deaths=30, after=60.

    Raises:
        ParameterError: If a fault is unknown, or its number is invalid.
    """
    values: dict[str, float | bool] = {}
    for spec in specs:
        name, is_given, number = spec.partition("=")
        try:
            if is_given:
                values[_FAULT_FIELDS[name]] = _parse_non_negative(number)
            else:
                values[_FAULT_FLAGS[name]] = True
        except (KeyError, ValueError):
            known = [*(f"{name}=NUMBER" for name in _FAULT_FIELDS), *_FAULT_FLAGS]
            raise ParameterError(f"invalid fault {spec!r}: pass one of {', '.join(known)}") from None
    return Faults.model_validate(values)


def _parse_non_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number


def run_simulation(
    target_options: TargetOptions,
    options: SimulateOptions,
    slo: Slo,
    policy: JudgePolicy,
    console: Console,
    *,
    as_json: bool,
) -> None:
    """Simulate a rollout of a released model and print the outcome.

    Raises:
        ThaleError: If the model or version is unknown, or the traffic cannot be read.
    """
    with target_options.environment() as environment:
        release = environment.target.read(options.model).release
        canary = (
            environment.target.find(options.model, options.version)
            if options.version
            else _next_patch_of_stable(release)
        )
    if release.canary is not None:
        release = transitions.abort(release, author_now(target_options.author(), "simulation"))
    if canary.card.version == release.stable:
        raise InvalidTransitionError(
            f"{options.model} {release.stable} is the stable version: "
            "omit VERSION to simulate it under the next patch number"
        )
    rng = np.random.default_rng(options.seed)
    result = simulate(release, canary, _load_traffic(options, rng), options.faults, slo, policy, rng)
    if as_json:
        console.file.write(result.model_dump_json(indent=2) + "\n")
    else:
        _print_result(result, canary, console)


def _load_traffic(options: SimulateOptions, rng: np.random.Generator) -> Traffic:
    if options.traffic is not None:
        return read_traffic(options.traffic)
    return sample_traffic(rng, options.requests_per_s, options.duration_s)


def _next_patch_of_stable(release: Release) -> VersionManifest:
    """Return the stable version under the next patch number."""
    stable = release.versions[release.stable]
    *first, patch = release.stable.split(".")
    card = stable.card.model_copy(update={"version": ".".join([*first, str(int(patch) + 1)])})
    return stable.model_copy(update={"card": card})


def _print_result(result: SimulationResult, canary: VersionManifest, console: Console) -> None:
    name = f"{canary.card.name} {canary.card.version}"
    colour = _COLOURS[result.outcome]
    console.print(
        f"[bold {colour}]{result.outcome}[/] after {format_duration(result.duration_s)}: {name}", highlight=False
    )
    weights = (f"{change.weight_percent:g} % after {format_duration(change.at_s)}" for change in result.weight_changes)
    console.print(f"  weights: {', '.join(weights)}", highlight=False)
    console.print(
        f"  clients received {result.canary_responses} responses of the canary ({result.bad_responses} bad) and "
        f"{result.fallbacks} fallback responses of the stable version",
        highlight=False,
    )
    for reason in result.reasons:
        console.print(f"  {escape(reason)}", highlight=False)
