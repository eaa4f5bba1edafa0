"""Terms of the Plant Trait Ontology (TO), and the relation of a trait to its nearest term.

Checked against the release of 2026-01-14 (https://github.com/Planteome/plant-trait-ontology). The relations are the
mapping properties of SKOS (https://www.w3.org/TR/skos-reference/#mapping): the term is the object of the relation. A
`broadMatch` is therefore a term that is broader than the trait. ADR 0117 has the reasons for each term.
"""

from dataclasses import dataclass

from thale.schemas import OntologyRelation


@dataclass(frozen=True)
class OntologyTerm:
    """The ontology term nearest to a trait. `qualifier` distinguishes traits that have the same term."""

    id: str
    name: str
    relation: OntologyRelation
    qualifier: str | None = None


def root_length(relation: OntologyRelation, qualifier: str) -> OntologyTerm:
    """Return the term for the length of a root."""
    return OntologyTerm("TO:0000227", "root length", relation, qualifier)


def lateral_root_length(qualifier: str) -> OntologyTerm:
    """Return the term for the length of one or more lateral roots."""
    return OntologyTerm("TO:0001012", "lateral root length", "closeMatch", qualifier)


def lateral_root_number(relation: OntologyRelation, qualifier: str) -> OntologyTerm:
    """Return the term for the number of lateral roots of a plant."""
    return OntologyTerm("TO:0001013", "lateral root number", relation, qualifier)


def root_branching(qualifier: str) -> OntologyTerm:
    """Return the term for the extent of root branching."""
    return OntologyTerm("TO:0000257", "root branching", "broadMatch", qualifier)


def root_thickness(qualifier: str) -> OntologyTerm:
    """Return the term for the thickness of a root, which may be an average of several roots."""
    return OntologyTerm("TO:0000306", "root thickness", "closeMatch", qualifier)


def leaf_area(qualifier: str) -> OntologyTerm:
    """Return the term for the total area of a leaf."""
    return OntologyTerm("TO:0000540", "leaf area trait", "relatedMatch", qualifier)


ROOT_SHAPE = OntologyTerm("TO:0002710", "root shape", "broadMatch", "tortuosity of the primary root")
ROOT_SYSTEM_WIDTH = OntologyTerm("TO:0001057", "root system width", "exactMatch")
ROOT_SYSTEM_DEPTH = OntologyTerm("TO:0001058", "root system depth", "exactMatch")
ROOT_SYSTEM_WIDTH_TO_DEPTH = OntologyTerm("TO:0001059", "root system width to depth ratio", "exactMatch")
HYPOCOTYL_LENGTH = OntologyTerm("TO:0006065", "seedling hypocotyl length", "exactMatch")
LEAF_NUMBER = OntologyTerm("TO:0000241", "leaf number", "closeMatch", "visible leaves, cotyledons included")
