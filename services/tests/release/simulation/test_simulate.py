"""Tests of the simulation of rollouts, on sampled and recorded traffic."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.sample_releases import make_release, make_version
from thale.errors import ParameterError
from thale.release.judge.policy import read_policy
from thale.release.simulation.simulate import Faults, SimulationResult, simulate
from thale.release.simulation.traffic import RecordedRequest, Traffic, read_traffic, sample_traffic, to_traffic
from thale.schemas import VersionManifest
from thale.slo import read_slo

SLO, POLICY = read_slo(), read_policy()
NO_FAULTS = Faults()


def make_canary(rng: np.random.Generator) -> VersionManifest:
    """Return a version whose card has references from sampled traffic."""
    plates = sample_traffic(rng, 1.0, 80.0, intraclass_correlation=0.0)
    signals = {**plates.outputs, **plates.agreement}
    references = {name: tuple(np.nanquantile(values[:40], np.linspace(0, 1, 21))) for name, values in signals.items()}
    manifest = make_version("1.1.0")
    metrics = {"plates_plates": 40.0, "agreement_plates": 40.0}
    return manifest.model_copy(
        update={"card": manifest.card.model_copy(update={"references": references, "metrics": metrics})}
    )


def simulate_rollout(
    faults: Faults, seed: int = 0, shadow_fraction: float = 1.0, poll_s: float = 1.0
) -> SimulationResult:
    rng = np.random.default_rng(seed)
    traffic = sample_traffic(rng, 20.0, 900.0)
    return simulate(
        make_release(),
        make_canary(rng),
        traffic,
        faults,
        SLO,
        POLICY,
        rng,
        poll_s=poll_s,
        shadow_fraction=shadow_fraction,
    )


@pytest.mark.slow
def test_simulate_promotes_a_good_canary_in_steps() -> None:
    result = simulate_rollout(NO_FAULTS)
    assert (result.outcome, result.bad_responses) == ("promoted", 0)
    assert [change.weight_percent for change in result.weight_changes] == [5, 25, 50, 100]
    assert [change.at_s for change in result.weight_changes] == sorted(change.at_s for change in result.weight_changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(error_rate=0.05), "failed"),
        (Faults(dice_drop=0.05), "agreement_dice"),
        (Faults(all_background=True), "agreement_dice"),
        (Faults(error_rate=1.0, begins_s=60.0), "failed"),
        (Faults(begins_s=30.0, death_every_s=30.0), "failed"),
    ],
)
def test_simulate_rolls_back_a_bad_canary(faults: Faults, reason: str) -> None:
    result = simulate_rollout(faults)
    assert result.outcome == "rolled back"
    assert reason in result.reasons[0]


def test_simulate_counts_fallbacks_of_a_failing_canary() -> None:
    result = simulate_rollout(Faults(error_rate=1.0), shadow_fraction=0.0, poll_s=0.5)
    assert (result.outcome, result.canary_responses, result.bad_responses) == ("rolled back", 0, 0)
    assert result.fallbacks <= 5


def test_simulate_is_deterministic_for_a_seed() -> None:
    assert simulate_rollout(Faults(error_rate=0.1), seed=3) == simulate_rollout(Faults(error_rate=0.1), seed=3)


def test_simulate_is_undecided_without_traffic() -> None:
    rng = np.random.default_rng(0)
    result = simulate(
        make_release(), make_version("1.1.0"), sample_traffic(rng, 20.0, 0.0), NO_FAULTS, SLO, POLICY, rng
    )
    assert (result.outcome, result.canary_responses) == ("undecided", 0)


def test_sample_traffic_correlates_plates_of_a_series() -> None:
    traffic = sample_traffic(np.random.default_rng(1), 20.0, 600.0, intraclass_correlation=0.9)
    positions, sizes = np.unique(traffic.hash_fraction_N, return_counts=True)
    series = positions[sizes >= 20]
    assert len(series) > 10
    deviations = [np.std(traffic.outputs["root_confidence"][traffic.hash_fraction_N == one]) for one in series]
    assert np.nanmean(deviations) < 0.6 * np.nanstd(traffic.outputs["root_confidence"])
    assert sizes.max() <= 200


def test_read_traffic_sorts_requests_and_groups_series(tmp_path: Path) -> None:
    lines = [
        RecordedRequest(at_s=1.0, experiment="a", seconds=0.2, outputs={"plants": 5}),
        RecordedRequest(at_s=0.5, experiment="a", seconds=0.1, failed=True),
        RecordedRequest(at_s=2.0, seconds=0.3, agreement={"agreement_dice_root": 0.9}),
    ]
    path = tmp_path / "traffic.jsonl"
    path.write_text("\n".join(line.model_dump_json() for line in lines) + "\n\n")
    traffic = read_traffic(path)
    assert traffic.at_s_N.tolist() == [0.5, 1.0, 2.0]
    assert traffic.hash_fraction_N[0] == traffic.hash_fraction_N[1] != traffic.hash_fraction_N[2]
    np.testing.assert_equal(traffic.outputs["plants"], [np.nan, 5, np.nan])
    assert isinstance(to_traffic(lines), Traffic)


@pytest.mark.parametrize("text", ["", "{", '{"at_s": 0, "seconds": "soon"}', '{"at_s": 0, "seconds": 1, "colour": 2}'])
def test_read_traffic_reports_the_path_of_an_invalid_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"traffic\.jsonl"):
        read_traffic(path)
