"""The band below the photograph: scale bar, legend, what measured it, and the flags that have no place."""

import math

from PIL import Image

from thale.exports.names import image_name, model_names
from thale.exports.overlay.annotations import all_flags, flag_mark, mark
from thale.exports.overlay.canvas import RGB, WHITE, Canvas, font
from thale.schemas import Flag, Phenotype, Scale

_BAND: RGB = (32, 35, 38)
_GREY: RGB = (178, 184, 190)
_LEAST_WIDTH = 640
_ROW = 40.0
_TEXT = 21.0
_MARGIN = 18.0
_FLAGS_SHOWN = 5

_SOURCES = {"given": "given with the image", "plate_edge": "from the plate's edge"}
_LEGEND = (
    ("root_base", "root base"),
    ("primary_tip", "primary tip"),
    ("lateral_tip", "lateral tip"),
    ("leaf_tip", "leaf tip"),
    ("crossing", "crossing"),
    ("flag", "flag"),
)


def with_footer(picture: Image.Image, phenotype: Phenotype) -> Image.Image:
    """Return the picture with the band below it; a picture narrower than the words is centred on dark ground."""
    width = max(picture.width, _LEAST_WIDTH)
    unit = min(1.6, max(0.6, width / 2000))
    notes = _notes(phenotype)
    height = round((_ROW * (2 + len(notes)) + _MARGIN) * unit)
    band = Canvas(width, height, 1.0, unit)
    middle = (_MARGIN / 2 + _ROW / 2) * unit
    legend_from = _scale(band, phenotype, picture.width / phenotype.image.width, middle)
    _legend(band, phenotype, legend_from + 2 * _MARGIN * unit, middle)
    lines = [(_made_of(phenotype), _GREY), *((note, WHITE) for note in notes)]
    for row, (line, color) in enumerate(lines, 1):
        fitted = _fitted(line, _TEXT * unit, width - 2 * _MARGIN * unit)
        band.text((_MARGIN * unit, middle + row * _ROW * unit), fitted, _TEXT * unit, color)
    sheet = Image.new("RGB", (width, picture.height + height), _BAND)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    drawn = band.finished()
    sheet.paste(drawn, (0, picture.height), drawn)
    return sheet


def round_length(about: float) -> float:
    """Return the 1, 2 or 5 times a power of ten that is nearest below a length."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(step * power for step in (1, 2, 5) if step * power <= about * (1 + 1e-9))


def _scale(band: Canvas, phenotype: Phenotype, factor: float, middle: float) -> float:
    """Draw the scale bar with its words, and return where they end, in pixels from the left."""
    unit, scale = band.unit, phenotype.scale
    left = _MARGIN * unit
    if not _is_known(scale):
        return _write(band, left, middle, "no scale: pixels only")
    mm_per_finished_px = scale.mm_per_px / factor
    length_mm = round_length(0.12 * band.width * mm_per_finished_px)
    right = left + length_mm / mm_per_finished_px
    band.line([(left, middle), (right, middle)], 3 * unit, WHITE, 255)
    for end in (left, right):
        band.line([(end, middle - 8 * unit), (end, middle + 8 * unit)], 3 * unit, WHITE, 255)
    words = f"{length_mm:g} mm   ({scale.mm_per_px:.4g} mm per px, {_SOURCES.get(scale.source, scale.source)})"
    return _write(band, right + _MARGIN * unit, middle, words)


def _is_known(scale: Scale) -> bool:
    return scale.known and math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0


def _legend(band: Canvas, phenotype: Phenotype, left: float, middle: float) -> None:
    """Explain the marks that the picture has, as far as there is room."""
    unit, shown = band.unit, _marks(phenotype)
    for kind, words in _LEGEND:
        needed = 2.4 * _MARGIN * unit + font(_TEXT * unit).getlength(words)
        if kind not in shown or left + needed > band.width - _MARGIN * unit:
            continue
        at = (left + 0.6 * _MARGIN * unit, middle)
        if kind == "crossing":
            band.ring(at, 9 * unit, 2.4 * unit, WHITE, 255)
        elif kind == "flag":
            flag_mark(band, kind, (at[0] - 22 * unit, at[1]))
        else:
            mark(band, kind, (at[0], at[1] - (11 * unit if kind == "primary_tip" else 0)), _GREY)
        left = _write(band, left + 1.6 * _MARGIN * unit, middle, words) + 1.4 * _MARGIN * unit


def _marks(phenotype: Phenotype) -> set[str]:
    placed = [flag for flag in all_flags(phenotype) if flag.at is not None]
    kinds: set[str] = {landmark.kind for plant in phenotype.plants for landmark in plant.landmarks}
    return kinds | {"crossing" if "cross" in flag.code else "flag" for flag in placed}


def _write(band: Canvas, left: float, middle: float, words: str) -> float:
    """Write words and return where they end."""
    size = _TEXT * band.unit
    band.text((left, middle), words, size, WHITE)
    return left + font(size).getlength(words)


def _made_of(phenotype: Phenotype) -> str:
    plants = "1 plant" if len(phenotype.plants) == 1 else f"{len(phenotype.plants)} plants"
    made = f"thale {phenotype.provenance.package_version}"
    models = model_names(phenotype).replace(";", ", ")
    return "  |  ".join(part for part in (image_name(phenotype.image), plants, made, models) if part)


def _notes(phenotype: Phenotype) -> list[str]:
    """Return the flags that have no place in the picture, one line each, the plants' with their numbers."""
    flags: list[tuple[str, Flag]] = [("", flag) for flag in phenotype.flags]
    flags += [(f"plant {plant.id}: ", flag) for plant in phenotype.plants for flag in plant.flags]
    notes = list(dict.fromkeys(f"{whose}{flag.message}" for whose, flag in flags if flag.at is None))
    if len(notes) > _FLAGS_SHOWN:
        return [*notes[: _FLAGS_SHOWN - 1], f"and {len(notes) - _FLAGS_SHOWN + 1} flags more"]
    return notes


def _fitted(words: str, size: float, room: float) -> str:
    """Return the words, cut with dots where they are longer than the room."""
    words, face = " ".join(words.split())[:400], font(size)
    if face.getlength(words) <= room:
        return words
    while words and face.getlength(f"{words}...") > room:
        words = words[:-1]
    return f"{words}..."
