"""Error rates of the judge: simulated rollouts with and without faults, with the real transitions and judge.

    python benchmarks/judge_error_rates.py --rollouts 2000 --seed 1 --jobs 2

Prints the Markdown table of docs/judging.md. Each rollout has its own traffic (20 requests per second, series of 10 to
200 plates) and its own card, with references from 40 other plates.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import binomtest

from thale.release.judge.policy import read_policy
from thale.release.simulation.simulate import Faults, SimulationResult, simulate
from thale.release.simulation.traffic import sample_traffic
from thale.schemas import ModelCard, Normalisation, Release, VersionManifest
from thale.slo import read_slo

REQUESTS_PER_S = 20.0
DURATION_S = 1500.0
REFERENCE_PLATES = 40
COLUMNS = (
    "canary",
    "rollouts",
    "rolled back (95 % interval)",
    "promoted",
    "s to rollback: median (95 %)",
    "canary responses",
    "bad responses",
    "fallbacks",
)
_QUANTILES = np.linspace(0.0, 1.0, 21)

NO_FAULTS = Faults()


@dataclass(frozen=True)
class Scenario:
    """Scenario of one row of the table."""

    name: str
    faults: Faults = NO_FAULTS
    shadow_fraction: float = 1.0
    intraclass_correlation: float = 0.5
    rollout_fraction: float = 0.1
    """Fraction of `--rollouts` for this scenario."""


SCENARIOS = (
    Scenario("no difference", rollout_fraction=1.0),
    Scenario("no difference, no shadow", shadow_fraction=0.0, rollout_fraction=0.2),
    Scenario("no difference, uncorrelated plates", intraclass_correlation=0.0, rollout_fraction=0.2),
    Scenario("no difference, correlation of 0.95 within a series", intraclass_correlation=0.95, rollout_fraction=0.2),
    Scenario("5 % errors", Faults(error_rate=0.05), rollout_fraction=0.2),
    Scenario("5 % errors, no shadow", Faults(error_rate=0.05), shadow_fraction=0.0),
    Scenario("Dice -0.05", Faults(dice_drop=0.05), rollout_fraction=0.2),
    Scenario("Dice -0.05, correlation of 0.95 within a series", Faults(dice_drop=0.05), intraclass_correlation=0.95),
    Scenario("all background", Faults(all_background=True)),
    Scenario("all background, no shadow", Faults(all_background=True), shadow_fraction=0.0),
    Scenario("p99 doubled", Faults(latency_factor=2.0)),
    Scenario("all requests fail", Faults(error_rate=1.0)),
    Scenario("all requests fail, no shadow", Faults(error_rate=1.0), shadow_fraction=0.0),
    Scenario("worker crash every 60 s from 60 s on", Faults(begins_s=60.0, death_every_s=60.0)),
    Scenario("10 times slower", Faults(latency_factor=10.0)),
)


def main() -> None:
    """Run the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rollouts", type=int, default=2000, help="rollouts of the first scenario; the others run a fraction"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--poll", type=float, default=0.5, help="interval of polls, in seconds")
    parser.add_argument("--only", default="", help="run only scenarios whose name starts with this text")
    options = parser.parse_args()
    print_line(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, scenario in enumerate(SCENARIOS):
            if scenario.name.startswith(options.only):
                count = max(round(options.rollouts * scenario.rollout_fraction), 1)
                seeds = [(options.seed, number, rollout) for rollout in range(count)]
                results = list(pool.map(partial(simulate_rollout, scenario, options.poll), seeds, chunksize=4))
                print_line(format_row(scenario, results))
                for result in results:
                    if (result.outcome == "rolled back") == (scenario.faults == NO_FAULTS):
                        sys.stderr.write(f"{scenario.name}: {result.outcome}, {result.reasons[0]}\n")


def print_line(line: str) -> None:
    """Print and flush a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def simulate_rollout(scenario: Scenario, poll_s: float, seed: Sequence[int]) -> SimulationResult:
    """Simulate one rollout of a scenario."""
    rng = np.random.default_rng(seed)
    traffic = sample_traffic(rng, REQUESTS_PER_S, DURATION_S, scenario.intraclass_correlation)
    stable, canary = _make_version("1.0.0", {}), _make_version("1.1.0", _sample_references(rng))
    release = Release(task="segmentation", stable="1.0.0", versions={"1.0.0": stable})
    return simulate(
        release,
        canary,
        traffic,
        scenario.faults,
        read_slo(),
        read_policy(),
        rng,
        poll_s=poll_s,
        shadow_fraction=scenario.shadow_fraction,
    )


def format_row(scenario: Scenario, results: Sequence[SimulationResult]) -> str:
    """Return the row of a scenario."""
    rollbacks = [result for result in results if result.outcome == "rolled back"]
    promoted = sum(result.outcome == "promoted" for result in results)
    interval = binomtest(len(rollbacks), len(results)).proportion_ci(method="exact")
    rate = f"{100 * len(rollbacks) / len(results):.2f} % ({100 * interval.low:.2f} to {100 * interval.high:.2f})"
    cells = [scenario.name, str(len(results)), rate, str(promoted)]
    for name in ("duration_s", "canary_responses", "bad_responses", "fallbacks"):
        values = [getattr(result, name) for result in rollbacks]
        cells.append(f"{np.median(values):g} ({np.quantile(values, 0.95):g})" if values else "")
    return f"| {' | '.join(cells)} |"


def _sample_references(rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """Return the references of a card, from uncorrelated plates."""
    plates = sample_traffic(rng, 1.0, 2.0 * REFERENCE_PLATES, intraclass_correlation=0.0)
    signals = {**plates.outputs, **plates.agreement}
    return {name: tuple(np.nanquantile(values[:REFERENCE_PLATES], _QUANTILES)) for name, values in signals.items()}


def _make_version(name: str, references: dict[str, tuple[float, ...]]) -> VersionManifest:
    card = ModelCard(
        name="plate-seg",
        version=name,
        task="segmentation",
        classes=("background", "root", "shoot", "seed"),
        mm_per_px=0.0625,
        normalisation=Normalisation(background_mm=4, contrast=32, clip=6),
        net="none",
        tile_px=512,
        overlap_px=64,
        data="none",
        licence="Apache-2.0",
        recipe="none",
        seed=0,
        parameters=0,
        weights_sha256="0" * 64,
        metrics={"plates_plates": REFERENCE_PLATES, "agreement_plates": REFERENCE_PLATES},
        references=references,
    )
    return VersionManifest(digest=f"sha256:{name}", card=card)


if __name__ == "__main__":
    main()
