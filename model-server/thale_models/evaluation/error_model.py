"""Command of the error model: collects trait records, fits the model, scores it on held-out plates, and writes it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thale.errors import ParameterError
from thale.host.files import write_atomically
from thale.phenotyping.quality.error_model import ERROR_MODELS_FOLDER, ErrorModel
from thale_models.engine import EngineName
from thale_models.evaluation.effective_risks import RiskedValue, effective_risks, key_of, trade_off_table
from thale_models.evaluation.error_model_fit import FOLDS, fit_error_model, split_plates
from thale_models.evaluation.quality_scores import (
    QualityScore,
    add_scores,
    flag_table,
    pool_root_scores,
    quality_table,
    records_by_complexity,
    score_quality,
)
from thale_models.evaluation.run import load_models
from thale_models.evaluation.trait_records import TraitRecord, collect_records

_MIN_PLATES = 20


def fit_and_write_error_model(
    models: Sequence[Path],
    data: Sequence[Path],
    copies: int,
    out: Path | None,
    engine: EngineName = "openvino",
    cache: Path | None = None,
) -> tuple[Path, dict[str, str]]:
    """Fit the error model of two models on folders of plates with RSML, and write it.

    Args:
        models: The folders of both models.
        data: Folders with manifest.csv, whose column `roots` names the RSML files.
        copies: Degraded copies of each plate.
        out: The file to write. None: a file of the package for these weights, which the facade reads.
        engine: The inference engine.
        cache: Folder of the cached predictions. None: the folders of the plates.

    Returns:
        The written file, and tables of the scores on held-out plates by title.

    Raises:
        ParameterError: If the models are not one of each task, or the folders have fewer than 20 plates with RSML.
        OSError: If a file cannot be read or written.
    """
    loaded = load_models(models, engine)
    if len(loaded) != 2:
        raise ParameterError("an error model is for two models: pass --model for segmentation and for landmarks")
    records = collect_records(data, copies, loaded, cache)
    plates = {record.plate for record in records}
    if len(plates) < _MIN_PLATES:
        raise ParameterError(
            f"the folders have {len(plates)} plates with roots, fewer than {_MIN_PLATES}: render more with "
            "`thale-models synthesize`"
        )
    weights = (
        f"sha256:{loaded['segmentation'].card.weights_sha256}",
        f"sha256:{loaded['landmarks'].card.weights_sha256}",
    )
    description = f"{len(plates)} synthetic plates, each with {copies} degraded copies"
    model = fit_error_model(records, weights, description)
    scores = score_held_out(records, weights)
    total = pool_root_scores(scores.traits)
    results = {
        "plates": float(len(plates)),
        "coverage": total.coverage,
        "wrong_ok": total.wrong_ok_share,
        "right_ok": total.right_ok_share,
    }
    model = model.model_copy(update={"results": {name: round(value, 4) for name, value in results.items()}})
    path = out or ERROR_MODELS_FOLDER / model.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(model.model_dump(), indent=1) + "\n").encode())
    return path, _tables(records, scores, model)


@dataclass
class HeldOutScores:
    """Scores of values on plates that were not in the fit, by trait, and by trait for each group of complexity."""

    traits: dict[str, QualityScore] = field(default_factory=dict)
    groups: dict[str, dict[str, QualityScore]] = field(default_factory=dict)
    values: list[RiskedValue] = field(default_factory=list)


def score_held_out(records: Sequence[TraitRecord], weights: tuple[str, str]) -> HeldOutScores:
    """Return the scores of all plates, each graded by a model that was fitted without it.

    Intervals and the limit of `ok` are those of this model as well.
    """
    scores = HeldOutScores()
    for fold in range(FOLDS):
        fitted, test = split_plates(records, fold)
        model = fit_error_model(fitted, weights, "")
        add_scores(scores.traits, score_quality(test, model))
        for name, group in records_by_complexity(test).items():
            add_scores(scores.groups.setdefault(name, {}), score_quality(group, model))
        risks = {key_of(record): model.risks(record.features) for record in test}
        scores.values += effective_risks(test, risks, model.evidence_flags)
    return scores


def _tables(records: Sequence[TraitRecord], scores: HeldOutScores, model: ErrorModel) -> dict[str, str]:
    limits = sorted({trait.max_ok_risk for trait in model.traits.values()})
    tables = {
        "flags alone": quality_table(score_quality(records, None)),
        f"with the error model, on held-out plates (limits of the risk: {limits})": quality_table(scores.traits),
        "trade-off on held-out plates": trade_off_table(scores.values),
        "flags": flag_table(records),
    }
    for name, group in scores.groups.items():
        tables[f"plants with {name}"] = quality_table(group)
    return tables
