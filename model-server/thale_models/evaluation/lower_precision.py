"""A version of a model in a lower precision, with the proof that its traits are as good as in float32."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from thale.errors import ArchiveError, DeviceError
from thale.host.files import write_atomically
from thale.models.model_card import CARD, WEIGHTS, parse_model_card, validate_model_card
from thale.schemas import ModelCard
from thale.schemas.model_card import Precision
from thale_models.engine import cpu_capabilities
from thale_models.evaluation.precision_proof import MAX_GROWTH, MIN_PLATES, TraitGrowth, compare_precisions
from thale_models.evaluation.run import load_models
from thale_models.evaluation.trait_records import collect_records
from thale_models.quantisation import write_int8_graph

PROOF = "precision.json"


def lower_precision(
    model: Path,
    partner: Path,
    data: Sequence[Path],
    out: Path,
    version: str,
    precision: Precision,
    calibration_plates: int,
) -> list[TraitGrowth]:
    """Write a version of a model in a lower precision to a folder, if the precision is proven to keep the traits.

    Args:
        model: Folder of the model. Its traits in float32 are the reference, whatever its card permits.
        partner: Folder of the model of the other task, unchanged, because traits need both.
        data: Folders with a manifest and RSML of the true roots.
        out: Folder of the new version. It must not have a model. precision.json is written in any case.
        version: The new version.
        precision: int8, or bfloat16 on a processor that has it.
        calibration_plates: Number of synthetic plates that set the ranges of int8.

    Returns:
        The growth of the error of each trait.

    Raises:
        ArchiveError: If a model is invalid, `out` has a model, or the proof fails: nothing but the proof is written.
        DeviceError: If this processor has no bfloat16 instructions.
        MissingPackageError: If int8 is requested without NNCF.
    """
    if (out / CARD).exists():
        raise ArchiveError(f"{out} already has a model: choose another folder with --out")
    if precision == "bfloat16":
        _require_bfloat16()
    card = parse_model_card((model / CARD).read_bytes())
    if card.precision == "int8":
        raise ArchiveError(f"{card.name} {card.version} is in int8: pass the version that it was made from")
    lower_card = card.model_copy(update={"version": version, "precision": precision})
    validate_model_card(lower_card)
    with tempfile.TemporaryDirectory(prefix="thale-precision-") as temp_dir:
        base = _write_model(Path(temp_dir) / "float32", model, card.model_copy(update={"precision": "float32"}))
        candidate = _write_model(Path(temp_dir) / "model", model, lower_card)
        if precision == "int8":
            write_int8_graph(base, candidate, lower_card, calibration_plates)
        reference = collect_records(data, 0, load_models([base, partner], "openvino"))
        lowered = collect_records(data, 0, load_models([candidate, partner], "openvino"), Path(temp_dir) / "cache")
        growths = compare_precisions(reference, lowered)
        out.mkdir(parents=True, exist_ok=True)
        _write_proof(out / PROOF, card, lower_card, growths)
        _require_proof(growths, lower_card, out)
        for path in candidate.iterdir():
            shutil.copyfile(path, out / path.name)
    return growths


def _write_model(folder: Path, model: Path, card: ModelCard) -> Path:
    """Write a model with the weights of another one, and return its folder."""
    folder.mkdir()
    shutil.copyfile(model / WEIGHTS, folder / WEIGHTS)
    write_atomically(folder / CARD, card.model_dump_json(indent=2).encode())
    return folder


def _require_bfloat16() -> None:
    if "BF16" not in cpu_capabilities():
        raise DeviceError(
            "this processor has no bfloat16 instructions, so the precision cannot be evaluated here: run the command "
            "on one with avx512_bf16 or amx_bf16 in /proc/cpuinfo"
        )


def _write_proof(path: Path, card: ModelCard, lower_card: ModelCard, growths: Sequence[TraitGrowth]) -> None:
    document = {
        "model": f"{card.name} {card.version}",
        "precision": f"{lower_card.version} {lower_card.precision}",
        "max_growth_tolerances": MAX_GROWTH,
        "traits": [asdict(growth) for growth in growths],
    }
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())


def _require_proof(growths: Sequence[TraitGrowth], card: ModelCard, out: Path) -> None:
    rejected = [growth for growth in growths if not growth.is_accepted]
    if growths and not rejected:
        return
    if not growths:
        cause = "the data have no plate with true roots (column roots of manifest.csv)"
    else:
        cause = ", ".join(
            f"{growth.trait} {growth.growth:+.3f} (up to {growth.upper_limit:.3f})" for growth in rejected
        )
    raise ArchiveError(
        f"{card.precision} is not proven to keep the traits of {card.name}: errors may grow by more than "
        f"{MAX_GROWTH:g} tolerances: {cause}. Keep float32, or pass more plates, at least {MIN_PLATES} with each "
        f"trait. {out / PROOF} has all traits"
    )
