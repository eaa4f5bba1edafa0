"""Experiments that stay: design tables, images, measurements, corrections and jobs in a database and a blob store.

SQLAlchemy is slow to import. The facade imports `store` and `jobs` on first use, in a thread.
"""
