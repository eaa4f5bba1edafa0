"""Footer below the photograph: scale bar, legend, provenance, main traits, and the flags without a position."""

import math

from PIL import Image

from thale.exports.names import image_name, model_names
from thale.exports.overlay.annotations import all_flags, draw_flag, draw_landmark
from thale.exports.overlay.canvas import RGB, WHITE, OverlayCanvas, font
from thale.exports.overlay.trait_table import trait_rows
from thale.schemas import Flag, Phenotype, Scale

_BAND_COLOR: RGB = (32, 35, 38)
_GREY_COLOR: RGB = (178, 184, 190)
_MIN_WIDTH_PX = 640
_ROW_HEIGHT = 40.0
_TEXT_SIZE = 21.0
_MARGIN = 18.0
_MAX_FLAGS = 5

_SOURCES = {
    "given": "given with the image",
    "plate_edge": "from the plate's edge",
    "assumed": "from the plate's edge, 120 mm assumed",
}
_LEGEND = (
    ("root_base", "root base"),
    ("primary_tip", "primary tip"),
    ("lateral_tip", "lateral tip"),
    ("leaf_tip", "leaf tip"),
    ("crossing", "crossing"),
    ("flag", "flag"),
)


def add_footer(image: Image.Image, phenotype: Phenotype) -> Image.Image:
    """Return the image with the footer below it. An image below 640 px width is centred on a dark background."""
    width = max(image.width, _MIN_WIDTH_PX)
    unit = min(1.6, max(0.6, width / 2000))
    flag_lines = _unlocated_flag_lines(phenotype)
    table = trait_rows(phenotype, width / unit - 2 * _MARGIN, _TEXT_SIZE)
    height = round((_ROW_HEIGHT * (2 + len(table) + len(flag_lines)) + _MARGIN) * unit)
    band = OverlayCanvas(width, height, 1.0, unit)
    middle = (_MARGIN / 2 + _ROW_HEIGHT / 2) * unit
    legend_left = _draw_scale_bar(band, phenotype, image.width / phenotype.image.width, middle)
    _draw_legend(band, phenotype, legend_left + 2 * _MARGIN * unit, middle)
    rows = [[(0.0, _provenance_line(phenotype))], *table, *([(0.0, line)] for line in flag_lines)]
    for number, row in enumerate(rows, 1):
        color = _GREY_COLOR if number == 1 else WHITE
        for left, text in row:
            x = (_MARGIN + left) * unit
            truncated = _truncate(text, _TEXT_SIZE * unit, width - x - _MARGIN * unit)
            band.text((x, middle + number * _ROW_HEIGHT * unit), truncated, _TEXT_SIZE * unit, color)
    page = Image.new("RGB", (width, image.height + height), _BAND_COLOR)
    page.paste(image, ((width - image.width) // 2, 0))
    band_image = band.image()
    page.paste(band_image, (0, image.height), band_image)
    return page


def nice_scale_length(max_length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that does not exceed a length."""
    power = 10.0 ** math.floor(math.log10(max_length))
    return max(step * power for step in (1, 2, 5) if step * power <= max_length * (1 + 1e-9))


def _draw_scale_bar(band: OverlayCanvas, phenotype: Phenotype, factor: float, middle: float) -> float:
    """Draw the scale bar with its label, and return the right end of the label in pixels."""
    unit, scale = band.unit, phenotype.scale
    left = _MARGIN * unit
    if not _is_known(scale):
        text = "several plates: each has its own scale" if scale.source == "per_plate" else "no scale: pixels only"
        return _draw_text(band, left, middle, text)
    mm_per_output_px = scale.mm_per_px / factor
    length_mm = nice_scale_length(0.12 * band.width * mm_per_output_px)
    right = left + length_mm / mm_per_output_px
    band.line([(left, middle), (right, middle)], 3 * unit, WHITE, 255)
    for end in (left, right):
        band.line([(end, middle - 8 * unit), (end, middle + 8 * unit)], 3 * unit, WHITE, 255)
    label = f"{length_mm:g} mm   ({scale.mm_per_px:.4g} mm per px, {_SOURCES.get(scale.source, scale.source)})"
    return _draw_text(band, right + _MARGIN * unit, middle, label)


def _is_known(scale: Scale) -> bool:
    return scale.is_known and math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0


def _draw_legend(band: OverlayCanvas, phenotype: Phenotype, left: float, middle: float) -> None:
    """Draw the legend of the symbols in the image, up to the available width."""
    unit, kinds = band.unit, _legend_kinds(phenotype)
    for kind, label in _LEGEND:
        needed_width = 2.4 * _MARGIN * unit + font(_TEXT_SIZE * unit).getlength(label)
        if kind not in kinds or left + needed_width > band.width - _MARGIN * unit:
            continue
        at = (left + 0.6 * _MARGIN * unit, middle)
        if kind == "crossing":
            band.circle(at, 9 * unit, 2.4 * unit, WHITE, 255)
        elif kind == "flag":
            draw_flag(band, kind, (at[0] - 22 * unit, at[1]))
        else:
            draw_landmark(band, kind, (at[0], at[1] - (11 * unit if kind == "primary_tip" else 0)), _GREY_COLOR)
        left = _draw_text(band, left + 1.6 * _MARGIN * unit, middle, label) + 1.4 * _MARGIN * unit


def _legend_kinds(phenotype: Phenotype) -> set[str]:
    located = [flag for flag in all_flags(phenotype) if flag.at is not None]
    kinds: set[str] = {landmark.kind for plant in phenotype.plants for landmark in plant.landmarks}
    return kinds | {"crossing" if "cross" in flag.code else "flag" for flag in located}


def _draw_text(band: OverlayCanvas, left: float, middle: float, text: str) -> float:
    """Draw text, and return its right end in pixels."""
    size = _TEXT_SIZE * band.unit
    band.text((left, middle), text, size, WHITE)
    return left + font(size).getlength(text)


def _provenance_line(phenotype: Phenotype) -> str:
    plants = "1 plant" if len(phenotype.plants) == 1 else f"{len(phenotype.plants)} plants"
    software = f"thale {phenotype.provenance.package_version}"
    models = model_names(phenotype).replace(";", ", ")
    return "  |  ".join(item for item in (image_name(phenotype.image), plants, software, models) if item)


def _unlocated_flag_lines(phenotype: Phenotype) -> list[str]:
    """Return the flags without a position, one line each, with the plant number of a plant's flag."""
    flags: list[tuple[str, Flag]] = [("", flag) for flag in phenotype.flags]
    flags += [(f"plant {plant.id}: ", flag) for plant in phenotype.plants for flag in plant.flags]
    lines = list(dict.fromkeys(f"{prefix}{flag.message}" for prefix, flag in flags if flag.at is None))
    if len(lines) > _MAX_FLAGS:
        return [*lines[: _MAX_FLAGS - 1], f"and {len(lines) - _MAX_FLAGS + 1} more flags"]
    return lines


def _truncate(text: str, size: float, max_width: float) -> str:
    """Return up to 400 characters of a text in one line, truncated with dots if they exceed a width in pixels."""
    text, text_font = " ".join(text.split())[:400], font(size)
    if text_font.getlength(text) <= max_width:
        return text
    while text and text_font.getlength(f"{text}...") > max_width:
        text = text[:-1]
    return f"{text}..."
