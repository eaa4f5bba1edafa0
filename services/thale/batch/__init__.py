"""Measurement of many images into a folder of results. A run is resumable, and continues after failed images."""
