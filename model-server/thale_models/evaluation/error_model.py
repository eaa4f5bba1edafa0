"""Command of the error model: collects trait records, fits the model, scores it on test plates, and writes it."""

import json
from collections.abc import Sequence
from pathlib import Path

from thale.errors import ParameterError
from thale.host.files import write_atomically
from thale.phenotyping.quality.error_model import ERROR_MODELS_FOLDER
from thale_models.engine import EngineName
from thale_models.evaluation.error_model_fit import fit_error_model, split_plates
from thale_models.evaluation.quality_scores import pool_scores, quality_by_complexity, quality_table, score_quality
from thale_models.evaluation.run import load_models
from thale_models.evaluation.trait_records import collect_records

_MIN_PLATES = 20


def fit_and_write_error_model(
    models: Sequence[Path], data: Sequence[Path], copies: int, out: Path | None, engine: EngineName = "openvino"
) -> tuple[Path, dict[str, str]]:
    """Fit the error model of two models on folders of plates with RSML, and write it.

    Args:
        models: The folders of both models.
        data: Folders with manifest.csv, whose column `roots` names the RSML files.
        copies: Degraded copies of each plate.
        out: The file to write. None: a file of the package for these weights, which the facade reads.
        engine: The inference engine.

    Returns:
        The written file, and tables of the scores on the test plates by title.

    Raises:
        ParameterError: If the models are not one of each task, or the folders have fewer than 20 plates with RSML.
        OSError: If a file cannot be read or written.
    """
    loaded = load_models(models, engine)
    if len(loaded) != 2:
        raise ParameterError("an error model is for two models: pass --model for segmentation and for landmarks")
    records = collect_records(data, copies, loaded)
    plates = {record.plate for record in records}
    if len(plates) < _MIN_PLATES:
        raise ParameterError(
            f"the folders have {len(plates)} plates with roots, fewer than {_MIN_PLATES}: render more with "
            "`thale-models synthesize`"
        )
    fitted, test = split_plates(records)
    weights = (
        f"sha256:{loaded['segmentation'].card.weights_sha256}",
        f"sha256:{loaded['landmarks'].card.weights_sha256}",
    )
    test_plates = len({record.plate for record in test})
    description = f"{len(plates) - test_plates} synthetic plates, each with {copies} degraded copies"
    model = fit_error_model(fitted, weights, description)
    scores = score_quality(test, model)
    total = pool_scores(scores.values())
    results = {
        "plates": float(test_plates),
        "coverage": total.coverage,
        "wrong_ok": total.wrong_ok_share,
        "right_ok": total.right_ok_share,
    }
    model = model.model_copy(update={"results": {name: round(value, 4) for name, value in results.items()}})
    path = out or ERROR_MODELS_FOLDER / model.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(model.model_dump(), indent=1) + "\n").encode())
    tables = {
        f"{test_plates} test plates, flags alone": quality_table(score_quality(test, None)),
        f"{test_plates} test plates, with the error model": quality_table(scores),
    }
    for name, group in quality_by_complexity(test, model).items():
        tables[f"plants with {name}"] = quality_table(group)
    return path, tables
