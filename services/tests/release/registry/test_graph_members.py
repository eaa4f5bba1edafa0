"""Tests of the validation of OpenVINO graphs: a hostile or foreign graph is rejected without OpenVINO."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_archives import Entries, change_card, pack, unpack
from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS, MAX_GRAPH_BYTES
from thale_models.archive import write_archive
from thale_models.graph_files import write_graph


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def archive_path(model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = write_graph(model.weights.parent, model.card)
    return write_archive(model.weights, model.card, tmp_path_factory.mktemp("archive"), graph=graph)


def change_graph(pattern: str, replacement: str) -> Callable[[Entries], None]:
    """Replace the first match of a pattern in the graph."""

    def change(entries: Entries) -> None:
        text, count = re.subn(pattern, replacement, entries[GRAPH].decode(), count=1)
        assert count == 1
        entries[GRAPH] = text.encode()

    return change


def add_not_a_number(entries: Entries) -> None:
    """Overwrite the end of the last float constant, which is that of the last layer's weights or bias."""
    spans = [
        (int(begin), int(size))
        for begin, size in re.findall(r'element_type="f32"[^>]* offset="(\d+)" size="(\d+)"', entries[GRAPH].decode())
    ]
    begin, size = max(spans)
    constants = bytearray(entries[GRAPH_CONSTANTS])
    constants[begin + size - 4 : begin + size] = np.float32("nan").tobytes()
    entries[GRAPH_CONSTANTS] = bytes(constants)


def test_validate_archive_accepts_a_graph(archive_path: Path, model: TinyModel) -> None:
    assert set(unpack(archive_path)) >= {GRAPH, GRAPH_CONSTANTS}
    assert validate_archive(archive_path).card == model.card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop(GRAPH), r"graph\.xml is missing"),
        (lambda entries: entries.pop(GRAPH_CONSTANTS), r"graph\.bin is missing"),
        (lambda entries: entries.update({GRAPH: b""}), "is not XML"),
        (lambda entries: entries.update({GRAPH: b"<net>"}), "is not XML"),
        (lambda entries: entries.update({GRAPH: b" " * (MAX_GRAPH_BYTES + 1)}), "larger than|unpacks from"),
        (change_graph(r"<net ", '<!DOCTYPE net [<!ENTITY a "b">]><net '), "has a DOCTYPE"),
        (change_graph(r'version="11"', 'version="10"'), "IR version 11"),
        (change_graph(r'type="ReLU"', 'type="If"'), "the operation opset1 If"),
        (change_graph(r'version="opset1"', 'version="extension"'), "the operation extension"),
        (change_graph(r'<stride value="4"', '<stride value="0"'), "records no stride"),
        (change_graph(r'<precision value="float32"', '<precision value="int4"'), "no known precision"),
        (change_graph(r'<precision value="float32"', '<precision value="int8"'), "but the card states float32"),
        (change_graph(r'weights_sha256 value="\w', 'weights_sha256 value="x'), "belongs to other weights"),
        (change_graph(r'offset="0" size', 'offset="999999999" size'), r"is not inside graph\.bin"),
        (change_graph(r'offset="4" size', 'offset="2" size'), "constants of graph.xml overlap"),
        (change_graph(r'offset="0" size="4"', 'offset="0" size="-4"'), "no valid type, shape, offset or size"),
        (change_graph(r'shape="1" offset="0"', 'shape="2" offset="0"'), "size of its shape"),
        (change_graph(r'element_type="i32" shape="1"', 'element_type="string" shape="1"'), "no valid type"),
        (lambda entries: entries.update({GRAPH_CONSTANTS: b""}), r"is not inside graph\.bin"),
        (add_not_a_number, "contains NaN or infinity"),
        (change_card(precision="int8"), "but the card states int8"),
    ],
)
def test_validate_archive_rejects_a_graph(
    change: Callable[[Entries], None], message: str, archive_path: Path, tmp_path: Path
) -> None:
    entries = unpack(archive_path)
    change(entries)
    with pytest.raises(ArchiveError, match=message):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_validate_archive_accepts_no_graph_unless_int8(model: TinyModel, tmp_path: Path) -> None:
    without = write_archive(model.weights, model.card, tmp_path)
    assert validate_archive(without).card == model.card
    entries = unpack(without)
    change_card(precision="int8")(entries)
    with pytest.raises(ArchiveError, match=r"graph\.xml is missing.*thale-models lower-precision"):
        validate_archive(pack(tmp_path / "changed.mar", entries))


def test_validation_of_a_graph_does_not_import_openvino() -> None:
    script = (
        "import sys, thale.release.registry.archive_validation, thale_models.graph_files\n"
        "sys.exit('openvino' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
