"""Schema of a model card."""

from typing import Annotated, Literal

from pydantic import Field

from thale.schemas.fields import FrozenModel, ModelName, NullableFloat, Task, Version
from thale.visible_text import Label, Line, Text


class Normalisation(FrozenModel):
    """Conversion of pixels to the network's input: (grey level - local background) / contrast, clipped.

    The local background is a Gaussian mean with a standard deviation of `background_mm` millimetres.
    """

    background_mm: float = Field(gt=0, allow_inf_nan=False)
    """Standard deviation of the Gaussian mean in millimetres."""
    contrast: float = Field(gt=0, allow_inf_nan=False)
    """Grey levels that become 1."""
    clip: float = Field(gt=0, allow_inf_nan=False)
    """Maximum absolute value of the input."""


_OptionNumber = Annotated[int, Field(ge=0, le=4096)] | Annotated[float, Field(ge=0, le=4096)]


Precision = Literal["float32", "bfloat16", "int8"]


class ModelCard(FrozenModel):
    """Description of a model: its task and outputs, its training, and its quality.

    Each text and each collection has a maximum length. `thale.models.model_card.MAX_CARD_BYTES` bounds the total.
    """

    name: ModelName
    """Name of the model."""
    version: Version
    """Version of the model."""
    task: Task
    """Task of the model."""
    classes: tuple[Label, ...] = Field(max_length=64)
    """Segmentation: the organ classes, background first. Landmarks: the kind of each heatmap."""
    mm_per_px: float = Field(gt=0, allow_inf_nan=False)
    """Training scale. Images are resampled to this scale before inference."""
    normalisation: Normalisation
    """Conversion of pixels to the network's input."""
    net: Label
    """Name of the network architecture."""
    net_options: dict[Label, _OptionNumber | Label] = Field({}, max_length=64)
    """Options of the architecture."""
    precision: Precision = "float32"
    """Lowest precision of the network on a CPU that its evaluation permits. bfloat16 applies where the processor has
    instructions for it. int8 requires a quantised graph in the archive (`thale-models lower-precision`)."""
    tile_px: int
    """Side of a training tile in pixels."""
    overlap_px: int
    """Overlap of neighbouring tiles in pixels."""
    data: Text
    """Description of the training data."""
    licence: Line
    """Licence of the weights."""
    recipe: Label
    """Training recipe."""
    seed: int = Field(ge=-(2**63), lt=2**64)
    """Seed of the training."""
    parameters: int = Field(ge=0, lt=2**40)
    """Number of trained parameters."""
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 digest of the weights."""
    metrics: dict[Label, NullableFloat] = Field({}, max_length=256)
    """Quality on the validation data, by metric."""
    references: dict[Label, Annotated[tuple[float, ...], Field(max_length=256)]] = Field({}, max_length=64)
    """Reference distributions: quantiles 0, 5, … 100 % of each plate statistic on the validation data."""
    limits: Text = ""
    """Known limitations, as text."""
