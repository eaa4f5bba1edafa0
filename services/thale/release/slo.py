"""The limits that judge, alerts and load tests share: loadtests/slo.toml, read and checked."""

from pathlib import Path

from thale.contract import Record


class Slo(Record):
    """What is promised to users, and how sure the judge must be."""


def read_slo(path: Path | None = None) -> Slo:
    """Read the limits; None reads those that thale comes with.

    Raises:
        ParameterError: If the file cannot be read or says something that makes no sense.
    """
    raise NotImplementedError
