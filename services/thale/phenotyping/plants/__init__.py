"""Plant reconstruction: probability maps and landmarks in, plants with root systems out."""

from thale.phenotyping.plants.reconstruct import PlateReading, find_plants

__all__ = ["PlateReading", "find_plants"]
