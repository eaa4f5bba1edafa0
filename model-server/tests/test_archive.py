import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import TinyModel, tiny_model

from thale.errors import ArchiveError
from thale_models.archive import CARD, MANIFEST, WEIGHTS, read_archive, write_archive


def test_the_same_model_gives_the_same_bytes_at_any_time_and_place(segmenter: TinyModel, tmp_path: Path) -> None:
    first = write_archive(segmenter.weights, segmenter.card, tmp_path / "a")
    later = shutil.copy(segmenter.weights, tmp_path / "renamed.bin")
    time.sleep(2.1)  # a ZIP counts time in steps of two seconds
    second = write_archive(Path(later), segmenter.card, tmp_path / "b")
    assert first.name == second.name == "tiny-seg-1.0.0.mar"
    assert first.read_bytes() == second.read_bytes()


def test_an_archive_is_data_with_the_handler_named_by_its_dotted_path(
    segmenter: TinyModel, landmarker: TinyModel, tmp_path: Path
) -> None:
    for model, handler in ((segmenter, "segment"), (landmarker, "landmarks")):
        with zipfile.ZipFile(write_archive(model.weights, model.card, tmp_path)) as archive:
            assert archive.namelist() == sorted((CARD, MANIFEST, WEIGHTS))
            manifest = json.loads(archive.read(MANIFEST))
        assert manifest["model"]["handler"] == f"thale_models.handlers.{handler}"
        assert manifest["model"]["modelVersion"] == "1.0.0"


def test_what_was_written_is_read_back(segmenter: TinyModel, tmp_path: Path) -> None:
    path = write_archive(segmenter.weights, segmenter.card, tmp_path)
    archived = read_archive(path)
    assert archived.card == segmenter.card
    assert archived.digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_weights_of_another_card_are_not_packed(segmenter: TinyModel, landmarker: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="one training run"):
        write_archive(landmarker.weights, segmenter.card, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("task", "fields", "complaint"),
    [
        ("segmentation", {"classes": ("root", "background", "shoot", "seed")}, "background comes first"),
        ("segmentation", {"classes": ("background", "root", "root", "seed")}, "once"),
        ("landmarks", {"classes": ("root_base", "flower")}, "primary_tip"),
        ("segmentation", {"overlap_px": 64}, "cannot cover a picture"),
        ("segmentation", {"tile_px": 100_000}, "cannot cover a picture"),
        ("segmentation", {"tile_px": 0, "overlap_px": 0}, "cannot cover a picture"),
    ],
)
def test_a_card_that_could_not_be_served_is_not_packed(
    task: str, fields: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "model", task, **fields)
    with pytest.raises(ArchiveError, match=complaint):
        write_archive(model.weights, model.card, tmp_path)


def packed_by_hand(path: Path, model: TinyModel, change: Callable[[dict[str, bytes]], None]) -> Path:
    whole = write_archive(model.weights, model.card, path / "whole")
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    changed = path / "changed.mar"
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return changed


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda entries: entries.pop(CARD), "card.json"),
        (lambda entries: entries.pop(MANIFEST), "MANIFEST"),
        (lambda entries: entries.pop(WEIGHTS), "weights.safetensors"),
        (lambda entries: entries.update({CARD: b"{}"}), "model card"),
        (lambda entries: entries.update({CARD: b"\xff\xfe"}), "model card"),
        (lambda entries: entries.update({CARD: b" " * 2**21}), "larger than|unpacks to"),
        (lambda entries: entries.update({MANIFEST: b"[]"}), "no manifest"),
        (lambda entries: entries.update({MANIFEST: b'{"model": {"modelName": 1}}'}), "no text"),
        (
            lambda entries: entries.update({MANIFEST: entries[MANIFEST].replace(b"1.0.0", b"2.0.0")}),
            "the card tiny-seg",
        ),
        (lambda entries: entries.update({WEIGHTS: b"other"}), "SHA-256"),
        (lambda entries: entries.update({"../evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"/etc/evil": b""}), "outside its folder"),
        (lambda entries: entries.update({"..\\evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"bomb": bytes(2**24)}), "unpacks to 16777216 bytes"),
        (lambda entries: entries.update({f"{number}": b"" for number in range(100)}), "entries"),
    ],
)
def test_an_archive_with_something_wrong_is_refused_by_what_is_wrong(
    change: Callable[[dict[str, bytes]], None], complaint: str, segmenter: TinyModel, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match=complaint):
        read_archive(packed_by_hand(tmp_path, segmenter, change))


def test_a_link_in_an_archive_is_refused(segmenter: TinyModel, tmp_path: Path) -> None:
    path = write_archive(segmenter.weights, segmenter.card, tmp_path)
    link = zipfile.ZipInfo("weights.link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link"):
        read_archive(path)


def test_what_is_no_archive_is_refused(segmenter: TinyModel, tmp_path: Path) -> None:
    whole = write_archive(segmenter.weights, segmenter.card, tmp_path).read_bytes()
    path = tmp_path / "broken.mar"
    for content in (b"", b"PK", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
            read_archive(path)
    with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
        read_archive(tmp_path / "missing.mar")
    path.write_bytes(flipped(whole))
    with pytest.raises(ArchiveError):
        read_archive(path)


def flipped(whole: bytes) -> bytes:
    """Flip a bit of the weights, where only a checksum notices."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        place = archive.getinfo(WEIGHTS).header_offset + 5000
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


def test_archives_are_read_and_written_without_torch() -> None:
    script = "import sys, thale_models.archive; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
