"""Parser of design tables as a task of the workers for hostile files, which end at their deadline."""

from typing import TYPE_CHECKING

from thale.facade.postprocess.types import CSV

if TYPE_CHECKING:
    from thale.experiments.design import ParsedDesign


def parse_design(body: bytes, media_type: str) -> "ParsedDesign":
    """Return a checked design table from CSV or JSON.

    Raises:
        DesignTableError: If the table is invalid.
    """
    from thale.experiments.design import parse_csv, parse_json

    return parse_csv(body) if media_type == CSV else parse_json(body)
