import hashlib
from pathlib import Path

import pytest

from thale.contract import Card, Normalisation, Release, ReleasedVersion, ReleaseRecord, Task
from thale.errors import ModelTaskError, ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError
from thale.facade import records
from thale.facade.records import RecordFile
from thale.facade.traffic import Choice, Pin, choose, pinned_choice


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


def test_a_changed_record_is_followed_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_LOOK_AGAIN_S", 0.0)
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
