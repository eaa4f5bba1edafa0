"""Model archives: `.mar` files that contain only data, and whose bytes are reproducible.

An archive holds `weights.safetensors`, `card.json`, the OpenVINO graph of the model, its golden predictions, and
TorchServe's manifest. The
code that serves it is installed in the image, and the manifest names the handler by its dotted path. The library of
torch-model-archiver accepts a dotted path. Its command line needs a handler file, which
`thale.release.registry.archive_validation` refuses.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from model_archiver.manifest_components.manifest import Manifest
from model_archiver.manifest_components.model import Model
from pydantic import ValidationError

from thale.errors import ArchiveError
from thale.host.files import write_atomically
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.archive_validation import HANDLERS, MANIFEST
from thale.release.registry.golden.plates import golden_plates
from thale.release.registry.golden_predictions import GOLDEN_MEMBER as GOLDEN
from thale.release.registry.golden_predictions import GoldenPredictions
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS
from thale.release.registry.safetensors_header import LENGTH_BYTES, MAX_HEADER_BYTES, check_finite, check_header
from thale.schemas import ModelCard
from thale_models.graph_files import GraphFiles

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_archive(
    weights: Path,
    card: ModelCard,
    out_dir: Path,
    golden: GoldenPredictions | None = None,
    graph: GraphFiles | None = None,
) -> Path:
    """Write `{name}-{version}.mar` and return its path. The same arguments give the same bytes.

    Entries are stored without compression: float weights hardly compress, and the bytes must not depend on the version
    of zlib.

    Raises:
        ArchiveError: If weights, golden predictions or graph do not belong to the card, the weights are not finite, or
            the card cannot be served.
    """
    weights_bytes = weights.read_bytes()
    card = parse_model_card(card.model_dump_json().encode())  # model_copy validates nothing
    digest = hashlib.sha256(weights_bytes).hexdigest()
    if digest != card.weights_sha256:
        raise ArchiveError(
            f"the weights have SHA-256 {digest}, but the card states {card.weights_sha256}: "
            "take weights and card from one training run"
        )
    tensors = check_header(weights_bytes[: LENGTH_BYTES + MAX_HEADER_BYTES], len(weights_bytes))
    check_finite([weights_bytes], tensors)
    entries = {
        MANIFEST: _torchserve_manifest(card),
        CARD: card.model_dump_json(indent=2).encode(),
        WEIGHTS: weights_bytes,
    }
    if graph is not None:
        if graph.info.weights_sha256 != digest:
            raise ArchiveError(f"{GRAPH} was converted from other weights: delete it and archive again")
        entries |= {GRAPH: graph.graph, GRAPH_CONSTANTS: graph.constants}
    elif card.precision == "int8":
        raise ArchiveError(f"{card.name} {card.version} has no quantised graph: run `thale-models lower-precision`")
    if golden is not None:
        if golden.weights_sha256 != digest:
            raise ArchiveError(f"{GOLDEN} was computed with other weights: delete it and archive again")
        entries[GOLDEN] = golden.model_dump_json().encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / f"{card.name}-{card.version}.mar"
    write_atomically(path, buffer.getvalue())
    return path


def read_golden_predictions(run: Path, card: ModelCard) -> GoldenPredictions | None:
    """Return the golden predictions in the folder of a model.

    None if the folder has no valid ones, or if they belong to other weights or to former golden plates.
    """
    try:
        golden = GoldenPredictions.model_validate_json((run / GOLDEN).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    plate_digests = {answer.plate_sha256 for answer in golden.answers}
    is_current = golden.weights_sha256 == card.weights_sha256 and plate_digests == {
        plate.digest for plate in golden_plates()
    }
    return golden if is_current else None


def _torchserve_manifest(card: ModelCard) -> bytes:
    model = Model(
        model_name=card.name,
        serialized_file=WEIGHTS,
        handler=HANDLERS[card.task],
        model_version=card.version,
    )
    manifest = Manifest(runtime="python", model=model).manifest_dict
    manifest["createdOn"] = "01/01/1980 00:00:00"  # TorchServe requires a date; a real one would change the digest
    return json.dumps(manifest, indent=2, sort_keys=True).encode()
