"""Types that cross a process or file boundary, each declared once.

Coordinates are pixels of the source image with its EXIF orientation applied: x to the right, y down, the centre of the
first pixel at (0, 0). Every length has an explicit unit: in a field name such as `mm_per_px`, or in the `unit` of a
trait. An unknown number is NaN in Python and null in JSON.
"""

from thale.schemas.corrections import (
    CorrectedPlant,
    CorrectedRoot,
    TraitsRequest,
)
from thale.schemas.fields import (
    MODEL_NAME_PATTERN,
    VERSION_PATTERN,
    FrozenModel,
    LandmarkKind,
    ModelName,
    NullableFloat,
    OntologyRelation,
    OrganKind,
    Region,
    Rotation,
    ScaleSource,
    Task,
    TraitLevel,
    Version,
    version_numbers,
)
from thale.schemas.image import (
    Calibration,
    Flag,
    ImageMetadata,
    Plate,
    Point,
    Scale,
)
from thale.schemas.model_card import (
    ModelCard,
    Normalisation,
)
from thale.schemas.phenotype import (
    Landmark,
    ModelRef,
    Organ,
    Phenotype,
    Plant,
    PlateMeasurement,
    Provenance,
    Root,
    Timings,
    TraitValue,
)
from thale.schemas.release import (
    CheckResult,
    Release,
    ReleaseEvent,
    ReleaseState,
    Verdict,
    VersionManifest,
)
from thale.schemas.responses import (
    ModelInfo,
    ModelVersion,
    Problem,
)

__all__ = [
    "MODEL_NAME_PATTERN",
    "VERSION_PATTERN",
    "Calibration",
    "CheckResult",
    "CorrectedPlant",
    "CorrectedRoot",
    "Flag",
    "FrozenModel",
    "ImageMetadata",
    "Landmark",
    "LandmarkKind",
    "ModelCard",
    "ModelInfo",
    "ModelName",
    "ModelRef",
    "ModelVersion",
    "Normalisation",
    "NullableFloat",
    "OntologyRelation",
    "Organ",
    "OrganKind",
    "Phenotype",
    "Plant",
    "Plate",
    "PlateMeasurement",
    "Point",
    "Problem",
    "Provenance",
    "Region",
    "Release",
    "ReleaseEvent",
    "ReleaseState",
    "Root",
    "Rotation",
    "Scale",
    "ScaleSource",
    "Task",
    "Timings",
    "TraitLevel",
    "TraitValue",
    "TraitsRequest",
    "Verdict",
    "Version",
    "VersionManifest",
    "version_numbers",
]
