"""Plant reconstruction: probability maps and landmarks in, plants with root systems out."""

from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants

__all__ = ["PlateReconstruction", "reconstruct_plants"]
