"""Synthetic seedling plates, rendered from a seed, with exact masks, landmarks and root polylines."""

from thale_models.synthesis.dataset_writer import write_dataset
from thale_models.synthesis.plate import SyntheticPlate, TruePlant, TrueRoot, draw_crop, draw_plate
from thale_models.synthesis.plate_spec import Overrides, PlateSpec

__all__ = [
    "Overrides",
    "PlateSpec",
    "SyntheticPlate",
    "TruePlant",
    "TrueRoot",
    "draw_crop",
    "draw_plate",
    "write_dataset",
]
