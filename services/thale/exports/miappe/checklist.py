"""The MIAPPE 1.2 checklist of one experiment: sections with rows of fields, and its mandatory fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thale.exports.miappe.metadata import PublicationFacts
from thale.schemas.brapi import BrapiObservationUnit, BrapiStudy, BrapiVariable

MIAPPE_VERSION = "1.2"
DATA_FILE = "d_observations.txt"
Row = Mapping[str, str]
MANDATORY: Mapping[str, tuple[str, ...]] = {
    "Investigation": ("Investigation title", "MIAPPE version"),
    "Study": (
        *("Study title", "Start date of study", "Contact institution", "Geographic location (country)"),
        *("Experimental site name", "Description of the experimental design", "Observation unit description"),
        "Description of growth facility",
    ),
    "Person": ("Person name", "Person role", "Person affiliation"),
    "Data file": ("Data file link", "Data file description"),
    "Biological material": ("Biological material ID", "Organism"),
    "Environment": ("Environment parameter", "Environment parameter value"),
    "Experimental factor": ("Experimental Factor type",),
    "Event": ("Event type", "Event date"),
    "Observation unit": ("Observation unit ID", "Observation unit type"),
    "Observed variable": ("Variable ID", "Trait", "Method", "Scale"),
}
"""Fields of each section that a row must have: those of cardinality 1 in the checklist of MIAPPE 1.2."""
_REQUIRED_SECTIONS = (
    "Investigation",
    "Study",
    "Person",
    "Biological material",
    "Observation unit",
    "Observed variable",
)


@dataclass(frozen=True)
class Publication:
    """An experiment with the facts for its publication."""

    study: BrapiStudy
    units: Sequence[BrapiObservationUnit]
    variables: Sequence[BrapiVariable]
    facts: PublicationFacts
    server_url: str
    """Address of the server that has the photographs."""

    def factor_levels(self) -> dict[str, list[str]]:
        """Return the levels of each factor, in the order of the observation units."""
        levels: dict[str, dict[str, None]] = {}
        for unit in self.units:
            for treatment in unit.treatments:
                levels.setdefault(treatment.factor, {})[treatment.modality] = None
        return {factor: list(found) for factor, found in levels.items()}

    def materials(self) -> list[str]:
        """Return the genotypes, in the order of the observation units."""
        return list(dict.fromkeys(unit.germplasmName for unit in self.units if unit.germplasmName))

    def genotypes(self) -> dict[str, list[str]]:
        """Return the genotypes of each observation unit. A plate has those of its plants."""
        found: dict[str, dict[str, None]] = {unit.observationUnitDbId: {} for unit in self.units}
        for unit in self.units:
            if unit.germplasmName is None:
                continue
            found[unit.observationUnitDbId][unit.germplasmName] = None
            for level in unit.observationUnitPosition.observationLevelRelationships:
                if level.observationUnitDbId in found:
                    found[level.observationUnitDbId][unit.germplasmName] = None
        return {unit: list(names) for unit, names in found.items()}


def checklist(publication: Publication) -> Mapping[str, Sequence[Row]]:
    """Return the rows of each section of the checklist. An unknown value is an empty text."""
    facts = publication.facts
    return {
        "Investigation": [_investigation(publication)],
        "Study": [_study(publication)],
        "Person": [
            {
                "Person name": person.name,
                "Person email": person.email,
                "Person ID": person.id,
                "Person role": person.role,
                "Person affiliation": person.affiliation,
            }
            for person in facts.person
        ],
        "Data file": [
            {
                "Data file link": DATA_FILE,
                "Data file description": "Tab-separated table with a row for each value: observation unit, variable, "
                "photograph, value, 90 % interval and quality.",
            }
        ],
        "Biological material": [_material(publication, name) for name in publication.materials()],
        "Environment": [
            {"Environment parameter": name, "Environment parameter value": value}
            for name, value in facts.environment.items()
        ],
        "Experimental factor": [
            {
                "Experimental Factor type": factor,
                "Experimental Factor description": facts.factors.get(factor, ""),
                "Experimental Factor values": "; ".join(levels),
            }
            for factor, levels in publication.factor_levels().items()
        ],
        "Event": [
            {
                "Event type": event.type,
                "Event accession number": event.accession,
                "Event description": event.description,
                "Event date": event.date,
            }
            for event in facts.event
        ],
        "Observation unit": [_unit(unit) for unit in publication.units],
        "Observed variable": [_variable(variable) for variable in publication.variables],
    }


def find_missing(publication: Publication, sections: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the missing mandatory facts in words, each with the place where to add it."""
    missing = [f"{name}: no entry. {_remedy(name)}" for name in _REQUIRED_SECTIONS if not sections[name]]
    for section, fields in MANDATORY.items():
        rows = sections[section]
        for field in fields:
            empty = sum(not row.get(field, "").strip() for row in rows)
            if empty:
                where = f" in {empty} of {len(rows)} entries" if len(rows) > 1 else ""
                missing.append(f"{section}: {field!r} is unknown{where}. {_remedy(section)}")
    without = sum(not names for names in publication.genotypes().values())
    if without and publication.materials():
        missing.append(
            f"Biological material: {without} of {len(publication.units)} observation units have no genotype. "
            f"{_remedy('Biological material')}"
        )
    return missing


def _remedy(section: str) -> str:
    tables = {
        **{"Investigation": "[investigation]", "Study": "[study]", "Person": "[[person]]"},
        **{"Environment": "[environment]", "Event": "[[event]]"},
    }
    if section in tables:
        return f"Add it under {tables[section]} in the file of --metadata"
    if section == "Biological material":
        return "Add a column `genotype` to the design table, and `organism` under [biological_material] to --metadata"
    return "Measure the images first"


def _investigation(publication: Publication) -> Row:
    facts = publication.facts.investigation
    return {
        "Investigation unique ID": facts.id or publication.study.studyDbId,
        "Investigation title": facts.title,
        "Investigation description": facts.description,
        "Submission date": facts.submission_date,
        "Public release date": facts.public_release_date,
        "License": facts.license,
        "MIAPPE version": MIAPPE_VERSION,
        "Associated publication": facts.publication,
    }


def _study(publication: Publication) -> Row:
    study, facts = publication.study, publication.facts.study
    return {
        "Study unique ID": study.studyDbId,
        "Study title": study.studyName,
        "Study description": study.studyDescription or "",
        "Start date of study": facts.start_date,
        "End date of study": facts.end_date,
        "Contact institution": facts.institution,
        "Geographic location (country)": facts.country,
        "Experimental site name": facts.site,
        "Description of the experimental design": facts.design,
        "Observation unit level hierarchy": "plate>plant",
        "Observation unit description": facts.observation_units,
        "Description of growth facility": facts.growth_facility,
        "Cultural practices": facts.cultural_practices,
    }


def _material(publication: Publication, genotype: str) -> Row:
    facts = publication.facts.biological_material
    return {
        "Biological material ID": genotype,
        "Organism": facts.organism,
        "Genus": facts.genus,
        "Species": facts.species,
        "Infraspecific name": f"genotype:{genotype}",
    }


def _unit(unit: BrapiObservationUnit) -> Row:
    position = unit.observationUnitPosition
    levels = (*position.observationLevelRelationships[1:], position.observationLevel)
    return {
        "Observation unit ID": unit.observationUnitDbId,
        "Observation unit type": position.observationLevel.levelName,
        "Biological material ID": unit.germplasmName or "",
        "Spatial distribution": "; ".join(f"{level.levelName}:{level.levelCode}" for level in levels),
        "Observation Unit factor value": "; ".join(f"{item.factor}:{item.modality}" for item in unit.treatments),
    }


def _variable(variable: BrapiVariable) -> Row:
    trait, method = variable.trait, variable.method
    return {
        "Variable ID": variable.observationVariableDbId,
        "Variable name": variable.observationVariableName,
        "Trait": trait.traitName,
        "Trait accession number": "" if trait.ontologyReference is None else trait.ontologyReference.ontologyDbId,
        "Trait relation to the term": trait.additionalInfo.get("ontologyRelation", ""),
        "Method": method.methodName,
        "Method description": method.description or "",
        "Reference associated to the method": method.bibliographicalReference or "",
        "Scale": variable.scale.units,
    }
