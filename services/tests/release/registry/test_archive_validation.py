"""Tests of archive validation: hostile and damaged archives are rejected, and none of their code runs."""

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_archives import (
    DIRECTORY_ENTRY,
    HEADER,
    INVISIBLE,
    NOT_FINITE,
    OTHER_SPELLINGS_OF_A_VERSION,
    Entries,
    change_card,
    one_tensor,
    overwrite_bytes,
    pack,
    replace_weights,
    safetensors_bytes,
    unpack,
    with_declared_size,
    with_hidden_member,
)
from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale.models.model_card import CARD, WEIGHTS
from thale.release.registry.archive_validation import MANIFEST, validate_archive
from thale_models.archive import write_archive


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def archive_path(model: TinyModel, tmp_path: Path) -> Path:
    return write_archive(model.weights, model.card, tmp_path / "archive")


def test_validate_archive_returns_card_and_digest(model: TinyModel, archive_path: Path) -> None:
    archive = validate_archive(archive_path)
    assert archive.card == model.card
    assert archive.digest == f"sha256:{hashlib.sha256(archive_path.read_bytes()).hexdigest()}"
    assert archive.golden is None
    assert archive.version_manifest.digest == archive.digest


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/thale-was-here",)


def change_manifest(**fields: object) -> Callable[[Entries], None]:
    """Change fields of the model in the manifest."""

    def change(entries: Entries) -> None:
        manifest = json.loads(entries[MANIFEST])
        manifest["model"] |= fields
        entries[MANIFEST] = json.dumps(manifest).encode()

    return change


FLOAT = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
DUPLICATE_FIELD = b'{"runtime": "python", "runtime": "python", "model": {}}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop(CARD), r"card\.json is missing"),
        (lambda entries: entries.pop(MANIFEST), r"MAR-INF/MANIFEST\.json is missing"),
        (lambda entries: entries.pop(WEIGHTS), r"weights\.safetensors is missing"),
        (lambda entries: entries.update({CARD: b"{}"}), "model card"),
        (lambda entries: entries.update({CARD: b"\xff\xfe"}), "model card"),
        (lambda entries: entries.update({CARD: b"[" * 10**5}), "larger than|unpacks from"),
        (lambda entries: entries.update({CARD: b" " * 2**21}), "larger than|unpacks from"),
        (lambda entries: entries.update({MANIFEST: b"[]"}), "not a manifest"),
        (lambda entries: entries.update({MANIFEST: b"[" * 5000}), "not a manifest"),
        (lambda entries: entries.update({MANIFEST: DUPLICATE_FIELD}), "duplicate field"),
        (lambda entries: entries.update({MANIFEST: b'{"model": {"modelName": 1}}'}), "not a manifest"),
        (change_manifest(requirementsFile="requirements.txt"), "requirementsFile"),
        (change_manifest(serializedFile="model.pt"), "serializedFile"),
        (change_manifest(modelVersion="2.0.0"), r"the manifest names tiny-seg 2\.0\.0"),
        (change_manifest(handler="os"), "is served by thale_models"),
        (change_manifest(handler="thale_models.handlers.landmarks"), r"is served by thale_models\.handlers\.segment"),
        (change_manifest(handler="missing.py"), "is code, which an archive must not contain"),
        (lambda entries: entries.update({WEIGHTS: b"other"}), "SHA-256"),
        (replace_weights(pickle.dumps(Bomb())), "not a safetensors file"),
        (replace_weights(b""), "not a safetensors file"),
        (replace_weights((2**63).to_bytes(8, "little") + b"{}"), "not a safetensors file"),
        (replace_weights(safetensors_bytes({})), "do not fill"),
        (replace_weights(safetensors_bytes({"a": FLOAT}, b"")), "do not fill"),
        (replace_weights(safetensors_bytes({"a": FLOAT}, bytes(8))), "do not fill"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "shape": [10**9]}})), "size of its shape"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "dtype": "O"}})), "size of its shape"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "shape": [-1]}})), "header of the weights is not valid"),
        (replace_weights(safetensors_bytes({"a": FLOAT, "b": FLOAT}, bytes(8))), "do not fill"),
        (lambda entries: entries.update({"model.pt": pickle.dumps(Bomb())}), "may contain a pickle"),
        (lambda entries: entries.update({"extra.bin": b""}), "may contain a pickle"),
        (lambda entries: entries.update({"evil.py": b"import os"}), "is code"),
        (lambda entries: entries.update({"notes.txt": b""}), "not part of a thale model"),
        (lambda entries: entries.update({"golden.json": b"{}"}), r"golden\.json is not valid"),
        (lambda entries: entries.update({"golden.json": b'{"weights_sha256": "0", "answers": []}'}), "other weights"),
        (lambda entries: entries.update({"../evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"/etc/evil": b""}), "outside its folder"),
        (lambda entries: entries.update({"..\\evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"C:evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"kärd.json": b""}), "is not portable"),
        (lambda entries: entries.update({"bomb": bytes(2**24)}), "to 16777216 bytes"),
        (lambda entries: entries.update({f"{number}": b"" for number in range(100)}), "entries exceed"),
    ],
)
def test_validate_archive_names_the_fault(
    change: Callable[[Entries], None], message: str, archive_path: Path, tmp_path: Path
) -> None:
    entries = unpack(archive_path)
    change(entries)
    with pytest.raises(ArchiveError, match=message):
        validate_archive(pack(tmp_path / "changed.mar", entries))
    assert not Path("/tmp/thale-was-here").exists()


@pytest.mark.slow
@pytest.mark.parametrize("odd_offset", [False, True])
@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("dtype", NOT_FINITE)
def test_weights_that_are_not_finite_are_rejected(
    dtype: str, index: int, odd_offset: bool, archive_path: Path, tmp_path: Path
) -> None:
    not_finite, array_type = NOT_FINITE[dtype]
    largest = np.iinfo("<u2").max // 2 - 128 if dtype == "BF16" else np.finfo(array_type).max
    values = np.full(100_001, largest, array_type)
    for position in (0, 32_767, 70_000, 100_000):
        changed = values.copy()
        changed[position] = not_finite[index]
        entries = unpack(archive_path)
        replace_weights(one_tensor(dtype, changed, odd_offset=odd_offset))(entries)
        with pytest.raises(ArchiveError, match=r"tensor 'layer\.weight' contains NaN or infinity"):
            validate_archive(pack(tmp_path / "changed.mar", entries, zipfile.ZIP_STORED))
    replace_weights(one_tensor(dtype, values, odd_offset=odd_offset))(entries)
    validate_archive(pack(tmp_path / "finite.mar", entries, zipfile.ZIP_STORED))


@pytest.mark.parametrize("version", OTHER_SPELLINGS_OF_A_VERSION)
def test_version_with_another_spelling_is_rejected(version: str, archive_path: Path, tmp_path: Path) -> None:
    entries = unpack(archive_path)
    change_card(version=version)(entries)
    change_manifest(modelVersion=version)(entries)
    with pytest.raises(ArchiveError, match="version: String should match pattern"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


@pytest.mark.parametrize(
    "name", ["", "Tiny", "tiny_seg", "-tiny", "tiny.seg", "tiny/../seg", "t\u0456ny", "a" * 64, "a\n"]
)
def test_model_name_outside_the_pattern_is_rejected(name: str, archive_path: Path, tmp_path: Path) -> None:
    entries = unpack(archive_path)
    change_card(name=name)(entries)
    change_manifest(modelName=name)(entries)
    with pytest.raises(ArchiveError, match="name: String should match pattern"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


@pytest.mark.slow
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE.keys())
@pytest.mark.parametrize("field", ["data", "licence", "limits", "recipe", "net"])
def test_card_text_with_invisible_character_is_rejected(
    field: str, character: str, archive_path: Path, tmp_path: Path
) -> None:
    entries = unpack(archive_path)
    change_card(**{field: f"Apache{character}-2.0"})(entries)
    with pytest.raises(ArchiveError, match=f"{field}: U\\+[0-9A-F]+ at position 6") as caught:
        validate_archive(pack(tmp_path / "changed.mar", entries))
    assert character not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "x" * 4097}, "data: String should have at most 4096"),
        ({"limits": "x" * 4097}, "limits: String should have at most 4096"),
        ({"licence": "x" * 1025}, "licence: String should have at most 1024"),
        ({"licence": "MIT\nand more"}, r"licence: U\+000A at position 3"),
        ({"recipe": "x" * 65}, "recipe: String should have at most 64"),
        ({"classes": ["background", "x" * 65]}, "classes.1: String should have at most 64"),
        ({"classes": ["background", *(f"organ {number}" for number in range(64))]}, "classes: Tuple should have"),
        ({"metrics": {"dice\u202e": 1.0}}, r"metrics\.dice\\u202e.*: U\+202E"),
        ({"metrics": {f"m{number}": 1.0 for number in range(257)}}, "metrics: Dictionary should have at most 256"),
        ({"references": {"plants": [0.5] * 257}}, "references.plants: Tuple should have at most 256"),
        ({"references": {f"r{number}": [0.123456789] * 60 for number in range(64)}}, "larger than 32768"),
        ({"net_options": {"base": 10**6}}, "net_options.base"),
        ({"mm_per_px": 1e999}, "mm_per_px"),
        ({"seed": 10**100}, "seed"),
        ({"weights_sha256": "A" * 64}, "weights_sha256: String should match"),
    ],
)
def test_card_beyond_its_bounds_is_rejected(
    fields: dict[str, object], message: str, archive_path: Path, tmp_path: Path
) -> None:
    entries = unpack(archive_path)
    change_card(**fields)(entries)
    with pytest.raises(ArchiveError, match=message):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_card_with_other_alphabets_and_lines_is_valid(archive_path: Path, tmp_path: Path) -> None:
    entries = unpack(archive_path)
    limits = "Nur für Keimlinge.\n拟南芥 · الأرابيدوبسيس"
    change_card(limits=limits)(entries)
    assert validate_archive(pack(tmp_path / "changed.mar", entries)).card.limits == limits


@pytest.mark.parametrize("name", ["custom.py", "handlers/custom.py", "torch.py"])
def test_handler_file_is_rejected(name: str, archive_path: Path, tmp_path: Path) -> None:
    """Even an empty subclass of thale's handler runs, and a file of that name can replace a package."""
    entries = unpack(archive_path)
    change_manifest(handler=name)(entries)
    entries[name] = b"from thale_models.handlers import segment\nclass Custom(segment.SegmentHandler): ...\n"
    with pytest.raises(ArchiveError, match=r"is code, which an archive must not contain: pack the model with"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_code_with_the_handler_of_thale_is_rejected(archive_path: Path, tmp_path: Path) -> None:
    entries = unpack(archive_path) | {"numpy.py": b""}
    with pytest.raises(ArchiveError, match=r"'numpy\.py' is code"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_archive_of_plain_archiver_is_rejected(model: TinyModel, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(model.card.model_dump_json())
    (tmp_path / "custom.py").write_text(
        "from thale_models.handlers import segment\nclass Custom(segment.SegmentHandler): ...\n"
    )
    command = [
        str(Path(sys.executable).parent / "torch-model-archiver"),
        *("--model-name", model.card.name, "--version", model.card.version, "--handler", str(tmp_path / "custom.py")),
        *("--serialized-file", str(model.weights), "--extra-files", str(tmp_path / CARD)),
        *("--export-path", str(tmp_path)),
    ]
    subprocess.run(command, check=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    with pytest.raises(ArchiveError, match="pack the model with `thale-models archive`"):
        validate_archive(tmp_path / "tiny-seg.mar")


def test_link_is_rejected(archive_path: Path) -> None:
    link = zipfile.ZipInfo("weights.link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link"):
        validate_archive(archive_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_member_is_rejected(archive_path: Path) -> None:
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(CARD, b"{}")
    with pytest.raises(ArchiveError, match="occurs twice"):
        validate_archive(archive_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_unknown_to_java_is_rejected(method: int, archive_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"compressed with a method|readers may disagree"):
        validate_archive(pack(archive_path, unpack(archive_path), method))


def test_encrypted_member_is_rejected(archive_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is encrypted"):
        validate_archive(overwrite_bytes(archive_path, DIRECTORY_ENTRY, 8, b"\1"))


def test_header_that_contradicts_directory_is_rejected(archive_path: Path) -> None:
    name_offset = 30
    with pytest.raises(ArchiveError, match="disagree"):
        validate_archive(overwrite_bytes(archive_path, HEADER, name_offset, b"EVIL"))


@pytest.mark.parametrize("size", [100, 30_000])
def test_data_of_wrong_declared_size_is_rejected(size: int, archive_path: Path, tmp_path: Path) -> None:
    entries = {**unpack(archive_path), CARD: b" " * 20_000}
    path = with_declared_size(pack(tmp_path / "wrong-size.mar", entries), CARD, size)
    with pytest.raises(ArchiveError, match=r"exceeds its declared size of 100 bytes|is damaged"):
        validate_archive(path)


@pytest.mark.parametrize("index", range(4))
def test_member_outside_the_directory_is_rejected(index: int, archive_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"disagree|between or after"):
        validate_archive(with_hidden_member(archive_path, "evil.py", b"import os", index))


@pytest.mark.parametrize("tail", [b"\0", b"PK\5\6" + bytes(18)])
def test_data_after_the_directory_is_rejected(tail: bytes, archive_path: Path) -> None:
    archive_path.write_bytes(archive_path.read_bytes() + tail)
    with pytest.raises(ArchiveError):
        validate_archive(archive_path)


def test_directory_of_many_entries_is_not_read(archive_path: Path, tmp_path: Path) -> None:
    data = archive_path.read_bytes()
    entry = data[data.index(DIRECTORY_ENTRY) : data.index(DIRECTORY_ENTRY, data.index(DIRECTORY_ENTRY) + 1)]
    start = data.index(DIRECTORY_ENTRY)
    for count in (60_000, 3):
        directory = entry * 60_000
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
        (tmp_path / "many.mar").write_bytes(data[:start] + directory + end)
        with pytest.raises(ArchiveError, match=r"60000 entries|followed by other data"):
            validate_archive(tmp_path / "many.mar")


def test_zip64_directory_is_rejected(archive_path: Path) -> None:
    entry = zipfile.ZipInfo("golden.json")
    entry.comment = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    with zipfile.ZipFile(archive_path, "a") as archive:
        archive.writestr(entry, b"{}")
    with pytest.raises(ArchiveError, match="followed by other data"):
        validate_archive(archive_path)


def test_incomplete_archive_is_rejected(archive_path: Path, tmp_path: Path) -> None:
    data = archive_path.read_bytes()
    path = tmp_path / "broken.mar"
    for content in (b"", b"PK", b"PK\5\6" + bytes(18), data[: len(data) // 2], data[:-1], data[1:]):
        path.write_bytes(content)
        with pytest.raises(ArchiveError):
            validate_archive(path)
    with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
        validate_archive(tmp_path / "missing.mar")
    with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
        validate_archive(tmp_path)


@pytest.mark.slow
def test_every_flipped_byte_is_detected_or_harmless(archive_path: Path, tmp_path: Path) -> None:
    """Every change of served content must be detected. Only the times in the headers may change."""
    data, expected = archive_path.read_bytes(), validate_archive(archive_path)
    path = tmp_path / "flipped.mar"
    for position in [*range(0, len(data), 97), *range(len(data) - 400, len(data))]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        try:
            archive = validate_archive(path)
        except ArchiveError:
            continue
        assert (archive.card, archive.golden) == (expected.card, expected.golden)
        assert unpack(path) == unpack(archive_path)
