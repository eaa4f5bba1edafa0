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
    """Return a version whose card expects what drawn traffic says."""
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


def test_a_good_canary_is_promoted_step_by_step() -> None:
    found = simulate_rollout(NO_FAULTS)
    assert (found.outcome, found.bad_responses) == ("promoted", 0)
    assert [stage.weight_percent for stage in found.weight_changes] == [5, 25, 50, 100]
    assert [stage.at_s for stage in found.weight_changes] == sorted(stage.at_s for stage in found.weight_changes)


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (Faults(error_rate=0.05), "failed"),
        (Faults(dice_drop=0.05), "agreement_dice"),
        (Faults(all_background=True), "agreement_dice"),
        (Faults(error_rate=1.0, begins_s=60.0), "failed"),
        (Faults(begins_s=30.0, death_every_s=30.0), "failed"),
    ],
)
def test_a_bad_canary_is_rolled_back(faults: Faults, says: str) -> None:
    found = simulate_rollout(faults)
    assert found.outcome == "rolled back"
    assert says in found.reasons[0]


def test_a_canary_that_throws_costs_no_user_an_answer_and_few_a_fallback() -> None:
    found = simulate_rollout(Faults(error_rate=1.0), shadow_fraction=0.0, poll_s=0.5)
    assert (found.outcome, found.canary_responses, found.bad_responses) == ("rolled back", 0, 0)
    assert found.fallbacks <= 5


def test_the_same_seed_is_the_same_rollout() -> None:
    assert simulate_rollout(Faults(error_rate=0.1), seed=3) == simulate_rollout(Faults(error_rate=0.1), seed=3)


def test_without_traffic_nothing_is_decided() -> None:
    rng = np.random.default_rng(0)
    found = simulate(make_release(), make_version("1.1.0"), sample_traffic(rng, 20.0, 0.0), NO_FAULTS, SLO, POLICY, rng)
    assert (found.outcome, found.canary_responses) == ("undecided", 0)


def test_plates_of_a_series_go_to_one_version_and_resemble_each_other() -> None:
    traffic = sample_traffic(np.random.default_rng(1), 20.0, 600.0, intraclass_correlation=0.9)
    places, sizes = np.unique(traffic.hash_fraction_N, return_counts=True)
    series = places[sizes >= 20]
    assert len(series) > 10
    plants = [np.std(traffic.outputs["root_confidence"][traffic.hash_fraction_N == place]) for place in series]
    assert np.nanmean(plants) < 0.6 * np.nanstd(traffic.outputs["root_confidence"])
    assert sizes.max() <= 200


def test_recorded_traffic_is_read_line_by_line(tmp_path: Path) -> None:
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
def test_traffic_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"traffic\.jsonl"):
        read_traffic(path)
