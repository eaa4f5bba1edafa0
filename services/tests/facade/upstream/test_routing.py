import hashlib
import math
from pathlib import Path

import pytest

from thale.errors import ModelTaskError, ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError
from thale.facade.upstream import release_source
from thale.facade.upstream.release_source import RecordFile
from thale.facade.upstream.routing import Choice, Pin, choose, pinned_choice, share, split
from thale.schemas import Card, Normalisation, Release, ReleasedVersion, ReleaseRecord, Task


def released(name: str, task: Task, *versions: str) -> Release:
    def card(version: str) -> Card:
        return Card(
            name=name,
            version=version,
            task=task,
            classes=("background", "root"),
            mm_per_px=0.1,
            normalisation=Normalisation(background_mm=4, contrast=32, clip=6),
            net="block-unet",
            tile_px=64,
            overlap_px=16,
            data="none",
            licence="Apache-2.0",
            recipe="none",
            seed=0,
            parameters=0,
            weights_sha256=hashlib.sha256(version.encode()).hexdigest(),
        )

    held = {version: ReleasedVersion(digest=f"sha256:{version}", card=card(version)) for version in versions}
    return Release(task=task, stable=versions[0], versions=held)


RECORD = ReleaseRecord(
    models={
        "plate-seg": released("plate-seg", "segmentation", "1.0.0", "1.1.0"),
        "rosette-seg": released("rosette-seg", "segmentation", "2.0.0"),
        "plate-landmarks": released("plate-landmarks", "landmarks", "1.0.0"),
    }
)


def chosen(*pins: str, task: Task = "segmentation", default: str = "plate-seg") -> Choice:
    parsed = [Pin.parse(pin) for pin in pins]
    return choose(RECORD, task, default, experiment=None, request_id="a", pins=parsed)


def test_without_a_wish_the_stable_version_of_the_default_model_answers() -> None:
    assert (chosen().name, chosen().version, chosen().task) == ("plate-seg", "1.0.0", "segmentation")


def test_a_choice_knows_its_archive_and_the_weights_in_it() -> None:
    released = RECORD.models["plate-seg"].versions["1.1.0"]
    choice = chosen("plate-seg@1.1.0")
    assert (choice.digest, choice.weights_digest) == (released.digest, f"sha256:{released.card.weights_sha256}")


def test_a_pin_names_a_version_or_another_model_of_the_task() -> None:
    assert chosen("plate-seg@1.1.0").version == "1.1.0"
    assert chosen("rosette-seg", "plate-landmarks").name == "rosette-seg"


def test_a_pin_for_another_task_leaves_this_one_alone() -> None:
    assert chosen("plate-landmarks").name == "plate-seg"


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    with pytest.raises(UnknownModelError, match="plate-seg"):
        chosen("plate")
    with pytest.raises(UnknownVersionError, match=r"1\.1\.0"):
        chosen("plate-seg@3.0.0")
    with pytest.raises(ParameterError, match="rosette-seg"):
        chosen("plate-seg", "rosette-seg")
    with pytest.raises(ModelTaskError, match="landmarks"):
        pinned_choice(RECORD, Pin("plate-landmarks", None), "segmentation")
    with pytest.raises(ModelUnavailableError, match="maize-seg"):
        chosen(default="maize-seg")


def on_trial(percent: float, canary: str = "1.1.0", shadow: str | None = None) -> Release:
    release = RECORD.models["plate-seg"]
    return Release.model_validate({**dict(release), "canary": canary, "weight_percent": percent, "shadow": shadow})


@pytest.mark.parametrize("percent", [0, 1, 5, 25, 50, 99, 100])
def test_a_weight_is_honoured_over_ten_thousand_requests(percent: float) -> None:
    requests, weight = 10_000, percent / 100
    release = on_trial(percent)
    for kind in ("request", "experiment"):
        canaries = sum(split(release, f"{kind} {number}").role == "canary" for number in range(requests))
        assert abs(canaries - requests * weight) <= 4 * math.sqrt(requests * weight * (1 - weight))


def test_all_plates_of_an_experiment_go_to_one_version() -> None:
    record = ReleaseRecord(models={"plate-seg": on_trial(50)})

    def version(experiment: str, request_id: str) -> str:
        return choose(record, "segmentation", "plate-seg", experiment=experiment, request_id=request_id).version

    versions = {experiment: {version(experiment, f"{plate}") for plate in range(50)} for experiment in "abcdefgh"}
    assert all(len(answered) == 1 for answered in versions.values())
    assert set.union(*versions.values()) == {"1.0.0", "1.1.0"}


def test_nobody_goes_back_to_stable_while_the_weight_grows() -> None:
    keys = [f"experiment {number}" for number in range(1000)]
    before: set[str] = set()
    for percent in (0, 1, 5, 25, 50, 99.9, 100):
        release = on_trial(percent)
        now = {key for key in keys if split(release, key).role == "canary"}
        assert before <= now
        before = now
    assert before == set(keys)


def test_every_process_on_every_machine_decides_alike() -> None:
    assert share("plate-seg", "1.1.0", "drought 7") == pytest.approx(0.31149545380784605)
    assert share("plate-seg", "1.1.0", "drought 7") != share("plate-seg", "1.2.0", "drought 7")
    assert share("plate-seg", "1.1.0", "drought 7") != share("plate-landmarks", "1.1.0", "drought 7")


def test_a_canary_has_the_stable_version_behind_it_and_the_stable_one_a_shadow_beside_it() -> None:
    canary = split(on_trial(100, shadow="1.1.0"), "a")
    assert (canary.version, canary.role, canary.shadow) == ("1.1.0", "canary", None)
    assert canary.fallback == Choice.of(RECORD.models["plate-seg"].versions["1.0.0"])
    stable = split(on_trial(0, shadow="1.1.0"), "a")
    assert (stable.version, stable.role, stable.fallback) == ("1.0.0", "stable", None)
    assert stable.shadow is not None
    assert (stable.shadow.version, stable.shadow.role) == ("1.1.0", "shadow")


def test_a_pinned_version_has_nobody_behind_it_and_a_pinned_model_is_split() -> None:
    record = ReleaseRecord(models={**RECORD.models, "plate-seg": on_trial(100, shadow="1.1.0")})

    def pinned(pin: str) -> Choice:
        pins = [Pin.parse(pin)]
        return choose(record, "segmentation", "plate-seg", experiment=None, request_id="a", pins=pins)

    for version in ("1.0.0", "1.1.0"):
        choice = pinned(f"plate-seg@{version}")
        assert (choice.version, choice.role, choice.fallback, choice.shadow) == (version, "pinned", None, None)
    assert pinned("plate-seg").role == "canary"


def test_a_choice_knows_where_its_model_server_listens() -> None:
    version = RECORD.models["plate-seg"].versions["1.0.0"]
    assert Choice.of(version).url == ""
    assert Choice.of(version.model_copy(update={"url": "http://canary"})).url == "http://canary"


def test_a_changed_record_is_followed_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_source, "_LOOK_AGAIN_S", 0.0)
    path = tmp_path / "traffic.json"
    file = RecordFile(path)
    with pytest.raises(ModelUnavailableError):
        file.current()
    path.write_text(RECORD.model_dump_json())
    assert file.current() == RECORD
    path.write_text("{half")
    assert file.current() == RECORD
    path.unlink()
    assert file.current() == RECORD
    fewer = ReleaseRecord(models={"plate-seg": RECORD.models["plate-seg"]})
    path.write_text(fewer.model_dump_json())
    assert file.current() == fewer


def test_a_record_whose_parts_disagree_is_no_record() -> None:
    with pytest.raises(ValueError, match="stable version"):
        Release(task="segmentation", stable="9.0.0", versions=RECORD.models["plate-seg"].versions)
    with pytest.raises(ValueError, match="holds the card of plate-seg"):
        ReleaseRecord(models={"other-seg": RECORD.models["plate-seg"]})
