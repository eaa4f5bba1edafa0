"""RSML, the Root System Markup Language: strict writer, tolerant reader, lossless round trip.

Lobet et al. 2015, Root System Markup Language: toward a unified root architecture description language, Plant
Physiology 167, 617-627, doi:10.1104/pp.114.253625. Format documentation: https://rootsystemml.github.io/format.

All geometry is in image pixels. `resolution` is **pixels per unit**: a length in px divided by `resolution` is a length
in `unit`, as in archiDART ("300" with "inch" is 300 dpi). An unknown scale has the unit "pixel" and the resolution 1.

    data = rsml.write(phenotype)
    document = rsml.read(data)          # RsmlDocument: plants, roots nested by order, warnings
    saved = rsml.save(document)         # includes functions, annotations and unknown elements
"""

from thale.exports.rsml.document import (
    Annotation,
    Function,
    ImageReference,
    Metadata,
    Property,
    PropertyDefinition,
    RsmlDocument,
    RsmlPlant,
    RsmlRoot,
    Sample,
    TimeSequence,
)
from thale.exports.rsml.phenotypes import from_phenotype, has_roots
from thale.exports.rsml.reader import MAX_ORDER, read
from thale.exports.rsml.writer import save
from thale.schemas import Phenotype

__all__ = [
    "MAX_ORDER",
    "Annotation",
    "Function",
    "ImageReference",
    "Metadata",
    "Property",
    "PropertyDefinition",
    "RsmlDocument",
    "RsmlPlant",
    "RsmlRoot",
    "Sample",
    "TimeSequence",
    "from_phenotype",
    "has_roots",
    "read",
    "save",
    "write",
]


def write(phenotype: Phenotype) -> bytes:
    """Return a phenotype as an RSML file in UTF-8. `has_roots` is False for a phenotype whose file would be invalid."""
    return save(from_phenotype(phenotype))
