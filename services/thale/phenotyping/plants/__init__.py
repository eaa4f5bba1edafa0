"""Plant reconstruction: plants with root systems from probability maps and landmarks."""

from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants

__all__ = ["PlateReconstruction", "reconstruct_plants"]
