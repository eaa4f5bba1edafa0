"""Facts of the design table about an observation unit: genotype, replicate and treatments.

The column `genotype` is the germplasm, and `replicate` or `rep` the replicate. Each other factor is a treatment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from thale.experiments.catalogue import get_experiment, read_design
from thale.experiments.design import DesignIndex

GENOTYPE_COLUMNS = frozenset({"genotype"})
REPLICATE_COLUMNS = frozenset({"replicate", "rep"})


@dataclass(frozen=True)
class UnitFacts:
    """Facts of the design table about a plate or plant. None is unknown."""

    genotype: str | None
    replicate: str | None
    treatments: tuple[tuple[str, str], ...]
    """Factor and level."""


class ExperimentDesigns:
    """Names and design tables of experiments, read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[str, tuple[str, Sequence[str], DesignIndex]] = {}

    def name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        return self._read(experiment_id)[0]

    def facts(self, experiment_id: str, image: str, plate: str, plant: int | None) -> UnitFacts:
        """Return the facts about a plate or plant."""
        _, factors, index = self._read(experiment_id)
        return unit_facts(factors, index.find(image, plate, plant))

    def _read(self, experiment_id: str) -> tuple[str, Sequence[str], DesignIndex]:
        if experiment_id not in self._found:
            experiment = get_experiment(self._connection, experiment_id)
            design = read_design(self._connection, experiment)
            self._found[experiment_id] = (experiment.name, design.factors, DesignIndex(design))
        return self._found[experiment_id]


def unit_facts(factors: Sequence[str], cells: Sequence[str]) -> UnitFacts:
    """Return the facts of a row of the design table."""
    known = [(factor, cell) for factor, cell in zip(factors, cells, strict=True) if cell]
    return UnitFacts(
        genotype=next((cell for factor, cell in known if factor.lower() in GENOTYPE_COLUMNS), None),
        replicate=next((cell for factor, cell in known if factor.lower() in REPLICATE_COLUMNS), None),
        treatments=tuple((factor, cell) for factor, cell in known if is_treatment(factor)),
    )


def is_treatment(factor: str) -> bool:
    """Return True if a column of the design table is a treatment."""
    return factor.lower() not in GENOTYPE_COLUMNS | REPLICATE_COLUMNS
