"""What a person looks at: the figures, the plates from worst to best, and a picture of each."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from thale.exports import overlay
from thale.imaging.image_io import decode
from thale.schemas import Card
from thale_models.evaluation.plate_scores import Measured, PlateScore
from thale_models.evaluation.summary import by_complexity, summarise

_LONG_SIDE_PX = 1600
_CLASS_COLOURS = np.array([(230, 70, 50), (40, 160, 70), (60, 110, 220), (200, 160, 30)], np.float32)


def report(title: str, scores: Sequence[PlateScore], cards: Sequence[Card]) -> str:
    """Return the report as Markdown; its pictures lie in `pictures/` beside it."""
    models = " and ".join(f"{card.name} {card.version}" for card in cards)
    worst_first = sorted(scores, key=_trouble, reverse=True)
    return "\n".join(
        [
            f"# {title}",
            "",
            f"{len(scores)} images, measured by {models}, the scale taken from the plate's edge.",
            "",
            *_table(["figure", "value"], [list(row) for row in figures_table(summarise(scores))]),
            "",
            "## By number of laterals",
            "",
            *_complexity(scores),
            "",
            "## Plates, the most troublesome first",
            "",
            *_plates(worst_first),
            "",
            *(line for score in worst_first for line in (f"### {score.name}", "", _picture(score), "")),
        ]
    )


def figures_table(figures: dict[str, float]) -> list[tuple[str, str]]:
    """Return the known figures as rows of text."""
    return [(name, _text(name, value)) for name, value in figures.items() if not math.isnan(value)]


def draw(image: bytes, measured: Measured) -> bytes:
    """Return a picture of an answer as PNG: the overlay of a phenotype, else classes as colours, landmarks as rings."""
    pixels_HW3 = decode(image)
    if measured.phenotype is not None:
        return overlay.draw(pixels_HW3, measured.phenotype)
    picture = Image.fromarray(pixels_HW3 if measured.maps is None else _coloured(pixels_HW3, measured))
    factor = min(1.0, _LONG_SIDE_PX / max(picture.size))
    picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
    pencil = ImageDraw.Draw(picture)
    kinds = dict.fromkeys(mark.kind for mark in measured.points.landmarks) if measured.points else {}
    for number, kind in enumerate(kinds):
        colour = tuple(_CLASS_COLOURS[number % len(_CLASS_COLOURS)].astype(int))
        for mark in measured.points.landmarks if measured.points else ():
            if mark.kind == kind:
                pencil.circle((mark.x * factor, mark.y * factor), 6, outline=colour, width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _coloured(pixels_HW3: NDArray[np.uint8], measured: Measured) -> NDArray[np.uint8]:
    """Return the image with each class's probability blended over it."""
    assert measured.maps is not None  # noqa: S101 the caller has looked
    frame = measured.maps.meta.frame
    box = slice(frame.y0, frame.y0 + frame.source_height), slice(frame.x0, frame.x0 + frame.source_width)
    blended = pixels_HW3.copy()
    part = blended[box].astype(np.float32)
    for plane, colour in zip(measured.maps.probabilities_CHW, _CLASS_COLOURS, strict=False):
        size = (frame.source_width, frame.source_height)
        share = np.asarray(Image.fromarray(plane).resize(size), np.float32)[..., None] / 255 * 0.7
        part = part * (1 - share) + colour * share
    blended[box] = part.astype(np.uint8)
    return blended


def without_nan(value: Any) -> Any:
    """Return a JSON document with null where a number is not known."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _trouble(score: PlateScore) -> float:
    missed = sum(not plant.found for plant in score.plants)
    error = score.total_error if math.isfinite(score.total_error) else 1.0
    return 10.0 * (missed + score.plants_extra) + error + (1.0 - score.tips.f1 if score.tips.true else 0.0)


def _complexity(scores: Sequence[PlateScore]) -> list[str]:
    groups = by_complexity(scores)
    columns = list(next(iter(groups.values())))
    return _table(
        ["plants with", *columns],
        [[name, *(_text(key, value) for key, value in group.items())] for name, group in groups.items()],
    )


def _plates(scores: Sequence[PlateScore]) -> list[str]:
    header = ["plate", "plants", "found", "extra", "root Dice", "tip F1 at 1 mm", "total length error", "scale error"]
    rows = [
        [
            score.name,
            str(len(score.plants)),
            str(sum(plant.found for plant in score.plants)),
            str(score.plants_extra),
            _text("dice", score.overlaps["root"].dice if "root" in score.overlaps else math.nan),
            _text("f1", score.tips.f1),
            _text("total_error", score.total_error),
            _text("scale_error", score.scale_error),
        ]
        for score in scores
    ]
    return _table(header, rows)


def _picture(score: PlateScore) -> str:
    return f"![{score.name}](pictures/{score.name}.png)"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _text(name: str, value: float) -> str:
    if math.isnan(value):
        return "not known"
    if name.endswith("_error"):
        return f"{100 * value:.1f} %"
    return f"{value:.0f}" if value.is_integer() and not name.startswith(("dice", "f1", "tip_f1")) else f"{value:.3f}"
