"""Permanent identifier of a measurement: a digest of everything that decides its values.

It is the key of the prediction cache. Equal inputs have the same identifier on every server.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from thale.schemas.experiment import MeasurementParameters

_LENGTH = 32


def measurement_id(
    sha256: str,
    model_digests: Iterable[str],
    config_digest: str,
    package_version: str,
    error_models_digest: str = "",
) -> str:
    """Return the identifier, such as m-8f14e45fceea167a5a36dedd4bea2543.

    Args:
        sha256: Digest of the image.
        model_digests: Digests of the archives of the segmentation model and of the landmark model, in this order.
        config_digest: Digest of the parameters (`digest_parameters`).
        package_version: Version of thale.
        error_models_digest: Digest of the user's error models, or an empty text. They decide intervals and quality.
    """
    parts = (sha256, ",".join(model_digests), config_digest, package_version, error_models_digest)
    return f"m-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:_LENGTH]}"


def digest_parameters(parameters: MeasurementParameters) -> str:
    """Return the digest of all inputs that affect the traits, except image and models."""
    config: dict[str, float | None] = {
        "mm_per_px": parameters.mm_per_px,
        "plate_width_mm": parameters.plate_width_mm,
        "page": parameters.page,
        "expected_plants": parameters.expected_plants,
    }
    if parameters.rotate:
        config["rotate"] = parameters.rotate
    return f"sha256:{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()}"


def digest_folder(folder: Path | None) -> str:
    """Return the digest of the files of a folder, or an empty text without a folder."""
    if folder is None:
        return ""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
