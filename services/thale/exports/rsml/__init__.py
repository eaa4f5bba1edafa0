"""RSML, the Root System Markup Language: written strictly, read tolerantly, saved again without loss.

Lobet et al. 2015, Root System Markup Language: toward a unified root architecture description language, Plant
Physiology 167, 617-627, doi:10.1104/pp.114.253625; the format's pages are https://rootsystemml.github.io/format.

All geometry is in image pixels. `resolution` is **pixels per unit**, so that a length in px divided by it is a length
in `unit` (archiDART converts so; "300" with "inch" is 300 dpi). A scale that is not known is unit "pixel" with
resolution 1.

    data = rsml.write(phenotype)
    document = rsml.read(data)          # RsmlDocument: plants, roots nested by order, warnings
    again = rsml.save(document)         # with functions, annotations and elements that thale does not know
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
from thale.exports.rsml.phenotypes import from_phenotype
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
    "read",
    "save",
    "write",
]


def write(phenotype: Phenotype) -> bytes:
    """Return a phenotype as an RSML file, UTF-8."""
    return save(from_phenotype(phenotype))
