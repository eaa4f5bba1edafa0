"""Definitions of traits in the store: a trait with its unit and its ontology term."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from thale.experiments.models import TraitDefinitionRow
from thale.exports.names import trait_column


@dataclass(frozen=True)
class StoredTraitDefinition:
    """A row of `trait_definitions`."""

    id: int
    trait: str
    unit: str
    ontology_id: str
    ontology_relation: str
    ontology_qualifier: str

    @property
    def column(self) -> str:
        """Column of the trait in wide tables, and identifier of its variable in BrAPI."""
        return trait_column(self.trait, self.unit)


def read_definitions(connection: Connection) -> Mapping[int, StoredTraitDefinition]:
    """Return all definitions of traits by their id, the oldest first."""
    rows = connection.execute(
        select(
            TraitDefinitionRow.id,
            TraitDefinitionRow.trait,
            TraitDefinitionRow.unit,
            TraitDefinitionRow.ontology_id,
            TraitDefinitionRow.ontology_relation,
            TraitDefinitionRow.ontology_qualifier,
        ).order_by(TraitDefinitionRow.id)
    )
    return {row[0]: StoredTraitDefinition(*row) for row in rows}
