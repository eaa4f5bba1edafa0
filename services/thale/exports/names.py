"""Names shared by the exports: image names, model names, flag codes, and column names with units."""

import re
import unicodedata
from collections.abc import Iterable

from thale.schemas import Flag, ImageMetadata, Phenotype

_UNITS = {"": "", "1": "", "count": "", "ratio": "", "%": "percent", "°": "deg", "mm²": "mm2", "mm^2": "mm2"}
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "HEIC": "heic"}


def image_name(image: ImageMetadata) -> str:
    """Return the file name of an image, or one derived from its digest if it has no name."""
    return (
        replace_unprintable(image.name)
        if image.name
        else f"{image.sha256[:12]}.{_EXTENSIONS.get(image.format, image.format.lower())}"
    )


def replace_unprintable(text: str) -> str:
    """Return the text with control characters and lone surrogates replaced by U+FFFD, because they break readers."""
    if text.isprintable():  # never true with one of these characters, and 20 times faster than a look at each
        return text
    return "".join("�" if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)


def trait_column(trait: str, unit: str) -> str:
    """Return the name of a trait with its unit, such as primary_root_length_mm: valid in R and as an XML element."""
    unit_suffix = _UNITS.get(unit, unit)
    if unit_suffix.startswith("1/"):
        unit_suffix = f"per_{unit_suffix[2:]}"
    name = f"{trait}_{unit_suffix.replace('/', '_per_')}" if unit_suffix else trait
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"trait_{name}"


def model_names(phenotype: Phenotype) -> str:
    """Return the model versions of a phenotype, such as plate-seg@1.0.0;plate-landmarks@1.0.0."""
    return ";".join(f"{model.name}@{model.version}" for model in phenotype.provenance.models)


def flag_codes(flags: Iterable[Flag]) -> str:
    """Return the distinct codes of flags, such as crossing;no_root, or an empty text without flags."""
    return ";".join(dict.fromkeys(flag.code for flag in flags))
