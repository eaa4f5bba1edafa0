"""Observation variables: the traits that measurements have, each with its unit, method and ontology term."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, select

from thale.experiments.brapi.pages import BrapiPage, PageRequest
from thale.experiments.database import Database
from thale.experiments.models import ExperimentImageRow, SubjectRow, TraitRow
from thale.experiments.trait_definitions import StoredTraitDefinition, read_definitions
from thale.schemas.brapi import (
    BrapiOntologyReference,
    BrapiVariable,
    BrapiVariableMethod,
    BrapiVariableScale,
    BrapiVariableTrait,
)

_ONTOLOGY = "Plant Trait Ontology"
METHOD = "thale image analysis"


def definition_ids(definitions: Mapping[int, StoredTraitDefinition], variable: str) -> list[int]:
    """Return the ids of the definitions of a variable. Versions of thale may have stated other ontology terms."""
    return [key for key, definition in definitions.items() if definition.column == variable]


def list_variables(
    database: Database, request: PageRequest, *, study: str | None, variable: str | None
) -> BrapiPage[BrapiVariable]:
    """Return a page of variables in the order of tables.

    Args:
        database: The database.
        request: The page.
        study: Identifier of the experiment that observed the variables, or None for all.
        variable: Identifier of the variable, or None for all.
    """
    with database.read() as connection:
        definitions = read_definitions(connection)
        if study is not None:
            used = set(connection.execute(_used_definitions(study)).scalars())
            definitions = {key: value for key, value in definitions.items() if key in used}
    newest = {definition.column: definition for definition in definitions.values()}
    found = [value for name, value in newest.items() if variable in (None, name)]
    return _page(sort_definitions(found), request)


def sort_definitions(definitions: Sequence[StoredTraitDefinition]) -> list[StoredTraitDefinition]:
    """Return definitions in the order of tables: the traits of plants, then of plates, mm before px."""
    from thale.exports.table import TRAIT_ORDER

    return sorted(definitions, key=lambda item: (TRAIT_ORDER.get(item.trait, len(TRAIT_ORDER)), item.trait, item.unit))


def _page(found: Sequence[StoredTraitDefinition], request: PageRequest) -> BrapiPage[BrapiVariable]:
    start = request.page * request.size
    return BrapiPage(tuple(describe_variable(item) for item in found[start : start + request.size]), len(found))


def _used_definitions(experiment_id: str) -> Select[int]:
    return (
        select(TraitRow.definition_id)
        .distinct()
        .join(SubjectRow, SubjectRow.id == TraitRow.subject_id)
        .join(ExperimentImageRow, ExperimentImageRow.measurement_id == SubjectRow.measurement_id)
        .where(ExperimentImageRow.experiment_id == experiment_id)
    )


def describe_variable(definition: StoredTraitDefinition) -> BrapiVariable:
    """Return the variable of a definition, with the texts of the trait reference if the trait is still measured."""
    from thale.phenotyping.traits.table import TRAITS  # imports SciPy

    trait = TRAITS.get(definition.trait)
    reference = None
    info: dict[str, str] = {} if trait is None else {"level": trait.level}
    if definition.ontology_id:
        reference = BrapiOntologyReference(ontologyDbId=definition.ontology_id, ontologyName=_ONTOLOGY)
        info["ontologyRelation"] = definition.ontology_relation
        if definition.ontology_qualifier:
            info["ontologyQualifier"] = definition.ontology_qualifier
    return BrapiVariable(
        observationVariableDbId=definition.column,
        observationVariableName=definition.column,
        trait=BrapiVariableTrait(
            traitDbId=definition.trait,
            traitName=definition.trait if trait is None else trait.label,
            traitDescription=None if trait is None else trait.definition,
            ontologyReference=reference,
            additionalInfo=info,
        ),
        method=BrapiVariableMethod(
            methodDbId=f"thale.{definition.trait}",
            methodName=METHOD,
            description=None if trait is None else trait.method,
            formula=None if trait is None else trait.formula,
            bibliographicalReference=None if trait is None else trait.source,
        ),
        scale=BrapiVariableScale(scaleDbId=definition.unit, scaleName=definition.unit, units=definition.unit),
    )
