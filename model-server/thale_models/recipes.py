"""Training recipes: the hyperparameters of each model that `thale-models train` can train."""

from dataclasses import dataclass, field, replace
from typing import Literal

from thale.errors import ParameterError
from thale.schemas import Normalisation, Task

PLATE_NORMALISATION = Normalisation(background_mm=4.0, contrast=32.0, clip=6.0)


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the result of a training run except the data, the seed and the number of steps.

    Names that end in `_px` are lengths in pixels at the training scale `mm_per_px`.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    """Segmentation: background first. Landmarks: one kind for each heatmap."""
    mm_per_px: float
    net_options: dict[str, int | float | str]
    tile_px: int
    overlap_px: int
    crop_px: int
    steps: int
    net: str = "block-unet"
    normalisation: Normalisation = PLATE_NORMALISATION
    batch_size: int = 8
    crops_per_picture: int = 4
    uniform_crop_fraction: float = 0.3
    """Fraction of crops from uniformly random positions: rims, labels and bare agar."""
    scale_jitter: tuple[float, float] = (0.8, 1.25)
    degraded_fraction: float = 0.0
    """Fraction of visits whose picture is degraded (`thale_models.synthesis.degradation`) before its crops are cut."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    max_gradient_norm: float = 1.0
    ema_decay: float = 0.998
    """Maximum decay of the exponential moving average of the weights. Early steps use a lower decay."""
    validation_interval_steps: int = 250
    validation_crops: int = 48
    keep: Literal["best", "last"] = "best"
    """Weights in the folder of the run: those of the best validation score, or those of the last validation. The last
    are the better choice once the learning rate has fallen to 0: the score of rare classes, such as seeds, is noisy."""
    class_weights: tuple[float, ...] = field(default=())
    """Segmentation: the weight of each class in the cross entropy."""
    sigma_mm: float = 0.4
    """Landmarks: standard deviation of the Gaussian of a target."""

    @property
    def output_channels(self) -> int:
        """Number of output channels of the network."""
        return len(self.classes)


_PLATE_CLASSES = ("background", "root", "shoot", "seed")

_SMOKE = Recipe(
    name="smoke",
    task="segmentation",
    classes=_PLATE_CLASSES,
    mm_per_px=0.25,
    net_options={"base": 8, "depth": 2},
    tile_px=64,
    overlap_px=16,
    crop_px=64,
    steps=80,
    batch_size=4,
    crops_per_picture=2,
    learning_rate=1e-2,
    warmup_steps=4,
    ema_decay=0.9,
    validation_interval_steps=20,
    validation_crops=8,
    class_weights=(1.0, 2.0, 1.0, 2.0),
)
"""Small and fast, for tests."""

_COARSE_LANDMARKS = Recipe(
    name="plate-landmarks-coarse",
    task="landmarks",
    classes=("root_base", "primary_tip", "lateral_tip"),
    mm_per_px=0.125,
    net_options={"base": 16, "depth": 5, "limit": 128},
    tile_px=768,
    overlap_px=128,
    crop_px=384,
    steps=2600,
)
"""Source of the initial weights of `plate-landmarks`: the same network at a coarser scale."""

_SEGMENTATION = Recipe(
    name="plate-seg",
    task="segmentation",
    classes=_PLATE_CLASSES,
    mm_per_px=0.0625,
    net_options={"base": 16, "depth": 4},
    tile_px=768,
    overlap_px=64,
    crop_px=384,
    steps=2400,
    class_weights=(1.0, 2.0, 1.0, 10.0),
)

_LANDMARKS = replace(_COARSE_LANDMARKS, name="plate-landmarks", mm_per_px=0.1, sigma_mm=0.3, steps=3600)

_DEGRADED_FRACTION = 0.6

RECIPES = {
    recipe.name: recipe
    for recipe in (
        _SEGMENTATION,
        _COARSE_LANDMARKS,
        _LANDMARKS,
        replace(
            _SEGMENTATION, name="plate-seg-degraded", steps=1000, degraded_fraction=_DEGRADED_FRACTION, keep="last"
        ),
        replace(
            _LANDMARKS, name="plate-landmarks-degraded", steps=1000, degraded_fraction=_DEGRADED_FRACTION, keep="last"
        ),
        _SMOKE,
        replace(
            _SMOKE,
            name="smoke-landmarks",
            task="landmarks",
            classes=("root_base", "primary_tip"),
            net_options={"base": 8, "depth": 3},
            class_weights=(),
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        ParameterError: If no recipe has that name.
    """
    if name not in RECIPES:
        raise ParameterError(f"unknown recipe {name!r}; available: {', '.join(RECIPES)}")
    return RECIPES[name]
