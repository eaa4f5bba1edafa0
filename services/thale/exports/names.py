"""Names that the exports share: of images, of models, and of columns that carry their unit."""

import re
import unicodedata

from thale.schemas import ImageMetadata, Phenotype

_UNITS = {"": "", "1": "", "count": "", "ratio": "", "%": "percent", "°": "deg", "mm²": "mm2", "mm^2": "mm2"}
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif"}


def image_name(image: ImageMetadata) -> str:
    """Return the image's file name; one without a name is called after the digest of its bytes."""
    return replace_unprintable(image.name) if image.name else f"{image.sha256[:12]}.{_EXTENSIONS[image.format]}"


def replace_unprintable(text: str) -> str:
    """Return the text with control characters and lone surrogates, which break readers, replaced by U+FFFD."""
    return "".join("�" if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)


def trait_column(trait: str, unit: str) -> str:
    """Return a trait's name with its unit, fit for a column of R and an element of XML: primary_root_length_mm."""
    unit_suffix = _UNITS.get(unit, unit)
    if unit_suffix.startswith("1/"):
        unit_suffix = f"per_{unit_suffix[2:]}"
    name = f"{trait}_{unit_suffix.replace('/', '_per_')}" if unit_suffix else trait
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"trait_{name}"


def model_names(phenotype: Phenotype) -> str:
    """Return the models that answered: plate-seg@1.0.0;plate-landmarks@1.0.0."""
    return ";".join(f"{model.name}@{model.version}" for model in phenotype.provenance.models)
