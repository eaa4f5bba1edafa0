"""Archives are read without unpacking them; whatever is wrong with one is told, and nothing of it is run."""

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

import pytest

from tests.support.hostile_archives import (
    DIRECTORY_ENTRY,
    HEADER,
    overwrite_bytes,
    pack,
    unpack,
    with_declared_size,
    with_hidden_member,
)
from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale.models.model_card import CARD, WEIGHTS
from thale.release.registry.archive_validation import MANIFEST, validate_archive
from thale_models.archive import write_archive

Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def whole(model: TinyModel, tmp_path: Path) -> Path:
    return write_archive(model.weights, model.card, tmp_path / "whole")


def test_what_was_written_is_read_back(model: TinyModel, whole: Path) -> None:
    archive = validate_archive(whole)
    assert archive.card == model.card
    assert archive.digest == f"sha256:{hashlib.sha256(whole.read_bytes()).hexdigest()}"
    assert archive.handler == "thale_models.handlers.segment"
    assert archive.golden is None
    assert archive.version_manifest.digest == archive.digest


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/thale-was-here",)


def safetensors_bytes(described: dict[str, object], data: bytes = bytes(4)) -> bytes:
    header = json.dumps(described).encode()
    return len(header).to_bytes(8, "little") + header + data


def replace_weights(content: bytes) -> Callable[[Entries], None]:
    """Replace the weights, and have the card say so."""

    def change(entries: Entries) -> None:
        card = json.loads(entries[CARD])
        card["weights_sha256"] = hashlib.sha256(content).hexdigest()
        entries[CARD] = json.dumps(card).encode()
        entries[WEIGHTS] = content

    return change


def change_manifest(**fields: object) -> Callable[[Entries], None]:
    """Change fields of the manifest's model."""

    def change(entries: Entries) -> None:
        whole = json.loads(entries[MANIFEST])
        whole["model"] |= fields
        entries[MANIFEST] = json.dumps(whole).encode()

    return change


def add_handler(code: str) -> Callable[[Entries], None]:
    """Bring a handler file along, as the plain archiver does."""

    def change(entries: Entries) -> None:
        change_manifest(handler="mine.py")(entries)
        entries["mine.py"] = code.encode()

    return change


FLOAT = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
TWICE = b'{"runtime": "python", "runtime": "python", "model": {}}'


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda entries: entries.pop(CARD), r"there is no card\.json"),
        (lambda entries: entries.pop(MANIFEST), "there is no MAR-INF/MANIFEST"),
        (lambda entries: entries.pop(WEIGHTS), r"there is no weights\.safetensors"),
        (lambda entries: entries.update({CARD: b"{}"}), "model card"),
        (lambda entries: entries.update({CARD: b"\xff\xfe"}), "model card"),
        (lambda entries: entries.update({CARD: b"[" * 10**5}), "model card|unpacks to"),
        (lambda entries: entries.update({CARD: b" " * 2**21}), "larger than|unpacks to"),
        (lambda entries: entries.update({MANIFEST: b"[]"}), "no manifest"),
        (lambda entries: entries.update({MANIFEST: b"[" * 5000}), "no manifest"),
        (lambda entries: entries.update({MANIFEST: TWICE}), "twice"),
        (lambda entries: entries.update({MANIFEST: b'{"model": {"modelName": 1}}'}), "no manifest"),
        (change_manifest(requirementsFile="requirements.txt"), "requirementsFile"),
        (change_manifest(serializedFile="model.pt"), "serializedFile"),
        (change_manifest(modelVersion="2.0.0"), r"the manifest says tiny-seg 2\.0\.0"),
        (change_manifest(handler="os"), "is served by thale_models"),
        (change_manifest(handler="thale_models.handlers.landmarks"), r"is served by thale_models\.handlers\.segment"),
        (change_manifest(handler="missing.py"), "is served by"),
        (lambda entries: entries.update({WEIGHTS: b"other"}), "SHA-256"),
        (replace_weights(pickle.dumps(Bomb())), "no safetensors"),
        (replace_weights(b""), "no safetensors"),
        (replace_weights((2**63).to_bytes(8, "little") + b"{}"), "no safetensors"),
        (replace_weights(safetensors_bytes({})), "do not fill"),
        (replace_weights(safetensors_bytes({"a": FLOAT}, b"")), "do not fill"),
        (replace_weights(safetensors_bytes({"a": FLOAT}, bytes(8))), "do not fill"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "shape": [10**9]}})), "not as large"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "dtype": "O"}})), "not as large"),
        (replace_weights(safetensors_bytes({"a": {**FLOAT, "shape": [-1]}})), "cannot be read"),
        (replace_weights(safetensors_bytes({"a": FLOAT, "b": FLOAT}, bytes(8))), "do not fill"),
        (lambda entries: entries.update({"model.pt": pickle.dumps(Bomb())}), "may hold a pickle"),
        (lambda entries: entries.update({"extra.bin": b""}), "may hold a pickle"),
        (lambda entries: entries.update({"evil.py": b"import os"}), "is code"),
        (lambda entries: entries.update({"notes.txt": b""}), "no part of a thale model"),
        (lambda entries: entries.update({"golden.json": b"{}"}), r"golden\.json cannot be read"),
        (lambda entries: entries.update({"golden.json": b'{"weights_sha256": "0", "answers": []}'}), "other weights"),
        (lambda entries: entries.update({"../evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"/etc/evil": b""}), "outside its folder"),
        (lambda entries: entries.update({"..\\evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"C:evil.py": b""}), "outside its folder"),
        (lambda entries: entries.update({"kärd.json": b""}), "no name that every system takes"),
        (lambda entries: entries.update({"bomb": bytes(2**24)}), "unpacks to 16777216 bytes"),
        (lambda entries: entries.update({f"{number}": b"" for number in range(100)}), "entries"),
    ],
)
def test_an_archive_with_something_wrong_is_refused_by_what_is_wrong(
    change: Callable[[Entries], None], complaint: str, whole: Path, tmp_path: Path
) -> None:
    entries = unpack(whole)
    change(entries)
    with pytest.raises(ArchiveError, match=complaint):
        validate_archive(pack(tmp_path / "changed.mar", entries))
    assert not Path("/tmp/thale-was-here").exists()


@pytest.mark.parametrize(
    "code",
    [
        "from thale_models.handlers import segment\n\n\nclass Mine(segment.SegmentHandler):\n    '''Mine.'''\n",
        "'''A handler.'''\nfrom thale_models.handlers.segment import SegmentHandler\nclass Mine(SegmentHandler): ...\n",
    ],
)
def test_a_handler_file_that_adds_nothing_passes(code: str, whole: Path, tmp_path: Path) -> None:
    entries = unpack(whole)
    add_handler(code)(entries)
    assert validate_archive(pack(tmp_path / "plain.mar", entries)).handler == "mine.py"


@pytest.mark.parametrize(
    "code",
    [
        "",
        "import os\nfrom thale_models.handlers import segment\nclass Mine(segment.SegmentHandler): ...\n",
        "from thale_models.handlers import segment\nclass Mine(segment.SegmentHandler):\n  x = print()\n",
        "from thale_models.handlers import segment\n@print\nclass Mine(segment.SegmentHandler): ...\n",
        "from thale_models.handlers import segment\nclass Mine(segment.SegmentHandler, metaclass=print()): ...\n",
        "from thale_models.handlers import segment\nclass Mine(print(segment)): ...\n",
        "from thale_models.handlers import landmarks\nclass Mine(landmarks.LandmarksHandler): ...\n",
        "from evil.handlers import segment\nclass Mine(segment.SegmentHandler): ...\n",
        "from thale_models.handlers import segment\nclass Mine(segment.SegmentHandler):\n  f'{print()}'\n",
        "(" * 2000,
        "\0",
        "#" * 5000,
    ],
)
def test_a_handler_file_that_does_anything_is_refused(code: str, whole: Path, tmp_path: Path) -> None:
    entries = unpack(whole)
    add_handler(code)(entries)
    with pytest.raises(ArchiveError, match=r"is code|larger than"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_an_archive_of_the_plain_command_passes(model: TinyModel, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(model.card.model_dump_json())
    (tmp_path / "mine.py").write_text(
        "from thale_models.handlers import segment\nclass Mine(segment.SegmentHandler): ...\n"
    )
    command = [
        str(Path(sys.executable).parent / "torch-model-archiver"),
        *("--model-name", model.card.name, "--version", model.card.version, "--handler", str(tmp_path / "mine.py")),
        *("--serialized-file", str(model.weights), "--extra-files", str(tmp_path / CARD)),
        *("--export-path", str(tmp_path)),
    ]
    subprocess.run(command, check=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert validate_archive(tmp_path / "tiny-seg.mar").card == model.card


def test_a_link_is_refused(whole: Path) -> None:
    link = zipfile.ZipInfo("weights.link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link"):
        validate_archive(whole)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(whole: Path) -> None:
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(CARD, b"{}")
    with pytest.raises(ArchiveError, match="occurs twice"):
        validate_archive(whole)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_java_does_not_know_is_refused(method: int, whole: Path) -> None:
    with pytest.raises(ArchiveError, match=r"compressed in a way|readers may disagree"):
        validate_archive(pack(whole, unpack(whole), method))


def test_an_encrypted_member_is_refused(whole: Path) -> None:
    with pytest.raises(ArchiveError, match="is encrypted"):
        validate_archive(overwrite_bytes(whole, DIRECTORY_ENTRY, 8, b"\1"))


def test_a_header_and_a_directory_that_disagree_are_refused(whole: Path) -> None:
    name_in_header = 30
    with pytest.raises(ArchiveError, match="disagree"):
        validate_archive(overwrite_bytes(whole, HEADER, name_in_header, b"EVIL"))


@pytest.mark.parametrize("size", [100, 30_000])
def test_data_of_another_size_than_announced_are_refused_while_reading(size: int, whole: Path, tmp_path: Path) -> None:
    entries = {**unpack(whole), CARD: b" " * 20_000}
    lying = with_declared_size(pack(tmp_path / "lying.mar", entries), CARD, size)
    with pytest.raises(ArchiveError, match=r"longer than the 100 bytes|is damaged"):
        validate_archive(lying)


@pytest.mark.parametrize("place", range(4))
def test_a_member_that_only_some_readers_see_is_refused(place: int, whole: Path) -> None:
    with pytest.raises(ArchiveError, match=r"disagree|between or behind"):
        validate_archive(with_hidden_member(whole, "evil.py", b"import os", place))


@pytest.mark.parametrize("tail", [b"\0", b"PK\5\6" + bytes(18)])
def test_what_follows_the_directory_is_refused(tail: bytes, whole: Path) -> None:
    whole.write_bytes(whole.read_bytes() + tail)
    with pytest.raises(ArchiveError):
        validate_archive(whole)


def test_a_directory_of_many_entries_is_not_even_read(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    entry = data[data.index(DIRECTORY_ENTRY) : data.index(DIRECTORY_ENTRY, data.index(DIRECTORY_ENTRY) + 1)]
    start = data.index(DIRECTORY_ENTRY)
    for count in (60_000, 3):
        directory = entry * 60_000
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
        (tmp_path / "many.mar").write_bytes(data[:start] + directory + end)
        with pytest.raises(ArchiveError, match=r"60000 entries|something behind"):
            validate_archive(tmp_path / "many.mar")


def test_a_second_directory_announced_by_zip64_is_refused(whole: Path) -> None:
    entry = zipfile.ZipInfo("golden.json")
    entry.comment = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(entry, b"{}")
    with pytest.raises(ArchiveError, match="something behind"):
        validate_archive(whole)


def test_what_is_no_archive_or_half_of_one_is_refused(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "broken.mar"
    for content in (b"", b"PK", b"PK\5\6" + bytes(18), data[: len(data) // 2], data[:-1], data[1:]):
        path.write_bytes(content)
        with pytest.raises(ArchiveError):
            validate_archive(path)
    with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
        validate_archive(tmp_path / "missing.mar")
    with pytest.raises(ArchiveError, match="cannot be read as a model archive"):
        validate_archive(tmp_path)


def test_every_flipped_byte_is_noticed_or_harmless(whole: Path, tmp_path: Path) -> None:
    """Not one byte of what is served may change unseen; the times in the headers are all that is left."""
    data, expected = whole.read_bytes(), validate_archive(whole)
    path = tmp_path / "flipped.mar"
    for place in [*range(0, len(data), 97), *range(len(data) - 400, len(data))]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            found = validate_archive(path)
        except ArchiveError:
            continue
        assert (found.card, found.handler, found.golden) == (expected.card, expected.handler, expected.golden)
        assert unpack(path) == unpack(whole)
