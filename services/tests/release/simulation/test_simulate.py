from pathlib import Path

import numpy as np
import pytest

from tests.support.sample_releases import release, version
from thale.errors import ParameterError
from thale.release.simulation.simulate import Faults, Rehearsal, simulate
from thale.release.simulation.traffic import RecordedRequest, Traffic, as_traffic, draw_traffic, read_traffic
from thale.schemas import ReleasedVersion
from thale.slo import read_slo

SLO = read_slo()
NO_FAULTS = Faults()


def canary(rng: np.random.Generator) -> ReleasedVersion:
    """Return a version whose card expects what drawn traffic says."""
    plates = draw_traffic(rng, 1.0, 80.0, resemblance=0.0)
    said = {**plates.outputs, **plates.agreement}
    references = {name: tuple(np.nanquantile(values[:40], np.linspace(0, 1, 21))) for name, values in said.items()}
    made = version("1.1.0")
    metrics = {"plates_plates": 40.0, "agreement_plates": 40.0}
    return made.model_copy(update={"card": made.card.model_copy(update={"references": references, "metrics": metrics})})


def rehearse(faults: Faults, seed: int = 0, shadowed: float = 1.0, poll_s: float = 1.0) -> Rehearsal:
    rng = np.random.default_rng(seed)
    traffic = draw_traffic(rng, 20.0, 900.0)
    return simulate(release(), canary(rng), traffic, faults, SLO, rng, poll_s=poll_s, shadowed=shadowed)


def test_a_good_canary_is_promoted_step_by_step() -> None:
    found = rehearse(NO_FAULTS)
    assert (found.outcome, found.bad_answers) == ("promoted", 0)
    assert [stage.weight_percent for stage in found.stages] == [5, 25, 50, 100]
    assert [stage.at_s for stage in found.stages] == sorted(stage.at_s for stage in found.stages)


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
    found = rehearse(faults)
    assert found.outcome == "rolled back"
    assert says in found.reasons[0]


def test_a_canary_that_throws_costs_no_user_an_answer_and_few_a_fallback() -> None:
    found = rehearse(Faults(error_rate=1.0), shadowed=0.0, poll_s=0.5)
    assert (found.outcome, found.canary_answers, found.bad_answers) == ("rolled back", 0, 0)
    assert found.fallbacks <= 5


def test_the_same_seed_is_the_same_rollout() -> None:
    assert rehearse(Faults(error_rate=0.1), seed=3) == rehearse(Faults(error_rate=0.1), seed=3)


def test_without_traffic_nothing_is_decided() -> None:
    rng = np.random.default_rng(0)
    found = simulate(release(), version("1.1.0"), draw_traffic(rng, 20.0, 0.0), NO_FAULTS, SLO, rng)
    assert (found.outcome, found.canary_answers) == ("undecided", 0)


def test_plates_of_a_series_go_to_one_version_and_resemble_each_other() -> None:
    traffic = draw_traffic(np.random.default_rng(1), 20.0, 600.0, resemblance=0.9)
    places, sizes = np.unique(traffic.place_N, return_counts=True)
    series = places[sizes >= 20]
    assert len(series) > 10
    plants = [np.std(traffic.outputs["root_confidence"][traffic.place_N == place]) for place in series]
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
    assert traffic.place_N[0] == traffic.place_N[1] != traffic.place_N[2]
    np.testing.assert_equal(traffic.outputs["plants"], [np.nan, 5, np.nan])
    assert isinstance(as_traffic(lines), Traffic)


@pytest.mark.parametrize("text", ["", "{", '{"at_s": 0, "seconds": "soon"}', '{"at_s": 0, "seconds": 1, "colour": 2}'])
def test_traffic_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"traffic\.jsonl"):
        read_traffic(path)
