"""`thale release simulate`: a rollout that nobody is exposed to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from thale.cli.rollout_tables import duration
from thale.cli.target_options import Where
from thale.errors import ParameterError, PlanError
from thale.release.lifecycle import transitions
from thale.release.simulation.simulate import Faults, Rehearsal, simulate
from thale.release.simulation.traffic import Traffic, draw_traffic, read_traffic
from thale.release.targets.update import sign
from thale.schemas import Release, ReleasedVersion
from thale.slo import Slo

_FAULTS = {
    "errors": "error_rate",
    "latency": "latency_factor",
    "dice": "dice_drop",
    "deaths": "death_every_s",
    "after": "begins_s",
}
_WITHOUT_A_NUMBER = {"background": "all_background"}
_COLOURS = {"promoted": "green", "rolled back": "red", "undecided": "yellow"}


@dataclass(frozen=True)
class Play:
    """What is rehearsed."""

    model: str
    version: str | None
    """None: the stable version once more, under another name."""
    faults: Faults
    traffic: Path | None
    """Recorded requests; None draws some."""
    requests_per_s: float
    duration_s: float
    seed: int


def read_faults(words: Sequence[str]) -> Faults:
    """Read what is wrong with the canary, as errors=0.05, latency=3, dice=0.05, background, deaths=30, after=60.

    Raises:
        ParameterError: If a word is none of these.
    """
    told: dict[str, float | bool] = {}
    for word in words:
        name, is_given, number = word.partition("=")
        try:
            if is_given:
                told[_FAULTS[name]] = _quantity(number)
            else:
                told[_WITHOUT_A_NUMBER[name]] = True
        except (KeyError, ValueError):
            known = [*(f"{name}=NUMBER" for name in _FAULTS), *_WITHOUT_A_NUMBER]
            raise ParameterError(f"the fault {word!r} is not known: say one of {', '.join(known)}") from None
    return Faults.model_validate(told)


def _quantity(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number


def rehearse(where: Where, play: Play, slo: Slo, console: Console, *, as_json: bool) -> None:
    """Rehearse a rollout of a released model and print how it ended.

    Raises:
        ThaleError: If the model or version is not known, or the traffic cannot be read.
    """
    with where.place() as place:
        release = place.actuator.read(play.model).release
        canary = place.actuator.find(play.model, play.version) if play.version else _twin(release)
    if release.canary is not None:
        release = transitions.abort(release, sign(where.who(), "rehearsal"))
    if canary.card.version == release.stable:
        raise PlanError(f"{play.model} {release.stable} is the stable version: leave it away to rehearse its twin")
    rng = np.random.default_rng(play.seed)
    rehearsal = simulate(release, canary, _traffic(play, rng), play.faults, slo, rng)
    if as_json:
        console.file.write(rehearsal.model_dump_json(indent=2) + "\n")
    else:
        _tell(rehearsal, canary, console)


def _traffic(play: Play, rng: np.random.Generator) -> Traffic:
    if play.traffic is not None:
        return read_traffic(play.traffic)
    return draw_traffic(rng, play.requests_per_s, play.duration_s)


def _twin(release: Release) -> ReleasedVersion:
    """Return the stable version under the next patch's name."""
    stable = release.versions[release.stable]
    *first, patch = release.stable.split(".")
    card = stable.card.model_copy(update={"version": ".".join([*first, str(int(patch) + 1)])})
    return stable.model_copy(update={"card": card})


def _tell(rehearsal: Rehearsal, canary: ReleasedVersion, console: Console) -> None:
    name = f"{canary.card.name} {canary.card.version}"
    colour = _COLOURS[rehearsal.outcome]
    console.print(f"[bold {colour}]{rehearsal.outcome}[/] after {duration(rehearsal.seconds)}: {name}", highlight=False)
    shares = (f"{stage.weight_percent:g} % after {duration(stage.at_s)}" for stage in rehearsal.stages)
    console.print(f"  shares: {', '.join(shares)}", highlight=False)
    console.print(
        f"  users got {rehearsal.canary_answers} of its answers, {rehearsal.bad_answers} of them bad, and "
        f"{rehearsal.fallbacks} from the stable version in its place",
        highlight=False,
    )
    for reason in rehearsal.reasons:
        console.print(f"  {escape(reason)}", highlight=False)
