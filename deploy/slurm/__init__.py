"""Dask cluster of the batch engine in the queue of SLURM (docs/how-to/batch-cluster.md)."""
