"""Evaluation report: the metrics, the plates from worst to best, and an image of each."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from thale.exports import overlay
from thale.imaging.image_io import decode
from thale.schemas import ModelCard
from thale_models.evaluation.plate_scores import EvaluatedPlate, PlateScore
from thale_models.evaluation.quality_scores import QualityScore
from thale_models.evaluation.summary import metrics_by_complexity, summarise

_LONG_SIDE_PX = 1600
_CLASS_COLOURS = np.array([(230, 70, 50), (40, 160, 70), (60, 110, 220), (200, 160, 30)], np.float32)


def render_report(
    title: str, scores: Sequence[PlateScore], cards: Sequence[ModelCard], quality: Mapping[str, QualityScore]
) -> str:
    """Return the report as Markdown. It links to the images in `images/`."""
    models = " and ".join(f"{card.name} {card.version}" for card in cards)
    worst_first = sorted(scores, key=_error_score, reverse=True)
    return "\n".join(
        [
            f"# {title}",
            "",
            f"{len(scores)} images, measured by {models}. The scale comes from the plate's edge.",
            "",
            *_markdown_table(["metric", "value"], [list(row) for row in metrics_table(summarise(scores))]),
            "",
            "## By number of laterals",
            "",
            *_complexity_table(scores),
            "",
            "## Intervals and quality",
            "",
            *_quality_table(quality),
            "",
            "## Plates, largest errors first",
            "",
            *_plate_table(worst_first),
            "",
            *(line for score in worst_first for line in (f"### {score.name}", "", _image_link(score), "")),
        ]
    )


def metrics_table(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return the known metrics as rows of text."""
    return [(name, _format_value(name, value)) for name, value in metrics.items() if not math.isnan(value)]


def draw_prediction(image: bytes, evaluated: EvaluatedPlate) -> bytes:
    """Return an image of the predictions as PNG: the phenotype overlay, else coloured classes and landmark rings."""
    pixels_HW3 = decode(image)
    if evaluated.phenotype is not None:
        return overlay.draw(pixels_HW3, evaluated.phenotype)
    preview = Image.fromarray(pixels_HW3 if evaluated.maps is None else _overlay_classes(pixels_HW3, evaluated))
    factor = min(1.0, _LONG_SIDE_PX / max(preview.size))
    preview = preview.resize((round(preview.width * factor), round(preview.height * factor)))
    drawing = ImageDraw.Draw(preview)
    kinds = dict.fromkeys(landmark.kind for landmark in evaluated.points.landmarks) if evaluated.points else {}
    for number, kind in enumerate(kinds):
        colour = tuple(_CLASS_COLOURS[number % len(_CLASS_COLOURS)].astype(int))
        for landmark in evaluated.points.landmarks if evaluated.points else ():
            if landmark.kind == kind:
                drawing.circle((landmark.x * factor, landmark.y * factor), 6, outline=colour, width=2)
    buffer = io.BytesIO()
    preview.save(buffer, "PNG")
    return buffer.getvalue()


def _overlay_classes(pixels_HW3: NDArray[np.uint8], evaluated: EvaluatedPlate) -> NDArray[np.uint8]:
    """Return the image with each class's probability blended over it."""
    assert evaluated.maps is not None  # noqa: S101 checked by the caller
    frame = evaluated.maps.meta.frame
    box = slice(frame.y0, frame.y0 + frame.source_height), slice(frame.x0, frame.x0 + frame.source_width)
    blended = pixels_HW3.copy()
    region = blended[box].astype(np.float32)
    for plane, colour in zip(evaluated.maps.probabilities_CHW, _CLASS_COLOURS, strict=False):
        size = (frame.source_width, frame.source_height)
        alpha = np.asarray(Image.fromarray(plane).resize(size), np.float32)[..., None] / 255 * 0.7
        region = region * (1 - alpha) + colour * alpha
    blended[box] = region.astype(np.uint8)
    return blended


def nan_to_null(value: Any) -> Any:
    """Return a JSON document with null in place of NaN."""
    if isinstance(value, dict):
        return {key: nan_to_null(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _error_score(score: PlateScore) -> float:
    missed_plants = sum(not plant.found for plant in score.plants)
    error = score.total_error if math.isfinite(score.total_error) else 1.0
    return 10.0 * (missed_plants + score.plants_extra) + error + (1.0 - score.tips.f1 if score.tips.true else 0.0)


def _complexity_table(scores: Sequence[PlateScore]) -> list[str]:
    groups = metrics_by_complexity(scores)
    columns = list(next(iter(groups.values())))
    return _markdown_table(
        ["plants with", *columns],
        [[name, *(_format_value(key, value) for key, value in group.items())] for name, group in groups.items()],
    )


def _quality_table(quality: Mapping[str, QualityScore]) -> list[str]:
    header = ["trait", "values", "coverage of the 90 % interval", "wrong", "of these ok", "of the right ones ok"]
    rows = [
        [
            name,
            str(score.values),
            _format_value("_error", score.coverage),
            str(score.wrong),
            _format_value("_error", score.wrong_ok_share),
            _format_value("_error", score.right_ok_share),
        ]
        for name, score in quality.items()
    ]
    return _markdown_table(header, rows)


def _plate_table(scores: Sequence[PlateScore]) -> list[str]:
    header = ["plate", "plants", "found", "extra", "root Dice", "tip F1 at 1 mm", "total length error", "scale error"]
    rows = [
        [
            score.name,
            str(len(score.plants)),
            str(sum(plant.found for plant in score.plants)),
            str(score.plants_extra),
            _format_value("dice", score.overlaps["root"].dice if "root" in score.overlaps else math.nan),
            _format_value("f1", score.tips.f1),
            _format_value("total_error", score.total_error),
            _format_value("scale_error", score.scale_error),
        ]
        for score in scores
    ]
    return _markdown_table(header, rows)


def _image_link(score: PlateScore) -> str:
    return f"![{score.name}](images/{score.name}.png)"


def _markdown_table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _format_value(name: str, value: float) -> str:
    if math.isnan(value):
        return "unknown"
    if name.endswith("_error"):
        return f"{100 * value:.1f} %"
    return f"{value:.0f}" if value.is_integer() and not name.startswith(("dice", "f1", "tip_f1")) else f"{value:.3f}"
