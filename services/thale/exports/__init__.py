"""Exports of a phenotype: CSV tables, COCO, RSML, PlantCV JSON and overlay image."""
