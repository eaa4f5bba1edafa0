"""Batch engine: measures the images of experiments on a Dask cluster, with the models in its worker processes."""
