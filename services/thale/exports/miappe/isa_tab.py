"""Rows of ISA-Tab 1.0: investigation, study, assay and trait definitions, with MIAPPE's further fields as comments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from thale.exports.miappe.checklist import DATA_FILE, Publication, Row, checklist
from thale.schemas.brapi import BrapiObservation

_GROWTH, _PHENOTYPING = "Growth", "Phenotyping"
_TRAIT_ONTOLOGY = ("TO", "http://purl.obolibrary.org/obo/to.owl", "", "Plant Trait Ontology")
STUDY_FILE, ASSAY_FILE, TRAIT_FILE = "s_study.txt", "a_phenotyping.txt", "tdf.txt"
_IN_INVESTIGATION = {
    "Investigation unique ID": "Investigation Identifier",
    "Investigation title": "Investigation Title",
    "Investigation description": "Investigation Description",
    "Submission date": "Investigation Submission Date",
    "Public release date": "Investigation Public Release Date",
}
_IN_STUDY = {
    "Study unique ID": "Study Identifier",
    "Study title": "Study Title",
    "Study description": "Study Description",
}
Cells = Sequence[str]


def assay_name(observation: BrapiObservation) -> str:
    """Return the name of the assay of an observation: its unit on one photograph."""
    return f"{observation.observationUnitDbId}@{observation.additionalInfo.get('imageSha256', '')[:12]}"


def investigation_rows(publication: Publication) -> Iterator[Cells]:
    """Yield the rows of the investigation file."""
    sections = checklist(publication)
    [investigation], [study] = sections["Investigation"], sections["Study"]
    yield from _block("ONTOLOGY SOURCE REFERENCE", zip(_SOURCE_FIELDS, zip(_TRAIT_ONTOLOGY), strict=True))
    yield from _block("INVESTIGATION", _fields(investigation, _IN_INVESTIGATION))
    yield from _publications("INVESTIGATION PUBLICATIONS", "Investigation", investigation["Associated publication"])
    yield from _contacts("INVESTIGATION CONTACTS", "Investigation", sections["Person"])
    own = [
        *_fields(study, _IN_STUDY),
        ("Study Submission Date", (investigation["Submission date"],)),
        ("Study Public Release Date", (investigation["Public release date"],)),
        ("Study File Name", (STUDY_FILE,)),
        ("Comment[Data File Link]", (DATA_FILE,)),
        ("Comment[Data File Description]", (sections["Data file"][0]["Data file description"],)),
        ("Comment[Trait Definition File]", (TRAIT_FILE,)),
        *(
            (f"Comment[Environment {row['Environment parameter']}]", (row["Environment parameter value"],))
            for row in sections["Environment"]
        ),
        *_events(sections["Event"]),
    ]
    yield from _block("STUDY", own)
    yield from _block(
        "STUDY DESIGN DESCRIPTORS",
        [(f"Study Design Type{end}", (value,)) for end, value in zip(_TERM, (study[_DESIGN], "", ""), strict=True)],
    )
    yield from _publications("STUDY PUBLICATIONS", "Study", "")
    yield from _factors(sections["Experimental factor"])
    yield from _block("STUDY ASSAYS", [(name, (value,)) for name, value in _ASSAY.items()])
    yield from _block("STUDY PROTOCOLS", [(name, values) for name, values in _protocols(study).items()])
    yield from _contacts("STUDY CONTACTS", "Study", sections["Person"])


def study_rows(publication: Publication) -> Iterator[Cells]:
    """Yield the rows of the study file: biological material, observation units and factor values."""
    factors = list(publication.factor_levels())
    facts = publication.facts.biological_material
    yield (
        *("Source Name", "Characteristics[Organism]", "Characteristics[Genus]", "Characteristics[Species]"),
        *("Characteristics[Infraspecific Name]", "Protocol REF", "Sample Name"),
        *("Characteristics[Observation Unit Type]", "Characteristics[Observation Unit Name]"),
        *("Characteristics[Spatial Distribution]", *(f"Factor Value[{factor}]" for factor in factors)),
    )
    units = dict(zip((unit.observationUnitDbId for unit in publication.units), _units(publication), strict=True))
    genotypes = publication.genotypes()
    for unit in publication.units:
        row = units[unit.observationUnitDbId]
        levels = {item.factor: item.modality for item in unit.treatments}
        for genotype in genotypes[unit.observationUnitDbId] or [""]:
            yield (
                *(genotype, facts.organism, facts.genus, facts.species, genotype, _GROWTH, unit.observationUnitDbId),
                *(row["Observation unit type"], unit.observationUnitName, row["Spatial distribution"]),
                *(levels.get(factor, "") for factor in factors),
            )


def assay_rows(publication: Publication, assays: Iterable[BrapiObservation]) -> Iterator[Cells]:
    """Yield the rows of the assay file: each observation unit on each photograph.

    Args:
        publication: The experiment.
        assays: One observation of each assay.
    """
    units = {unit.observationUnitDbId for unit in publication.units}
    yield (
        *("Sample Name", "Protocol REF", "Date", "Assay Name", "Raw Data File", "Comment[Image URL]"),
        *("Comment[Image SHA-256]", "Comment[Measurement ID]", "Derived Data File"),
    )
    for item in assays:
        if item.observationUnitDbId not in units:
            continue  # the plant was measured after the units were read
        info = item.additionalInfo
        image = info.get("imageDbId")
        url = "" if image is None else f"{publication.server_url}/brapi/v2/images/{image}/imagecontent"
        yield (
            *(item.observationUnitDbId, _PHENOTYPING, item.observationTimeStamp or "", assay_name(item)),
            *(info.get("image", ""), url, info.get("imageSha256", ""), info.get("measurementId", ""), DATA_FILE),
        )


def variable_rows(publication: Publication) -> Iterator[Cells]:
    """Yield the rows of the trait definition file."""
    rows = checklist(publication)["Observed variable"]
    columns = tuple(rows[0]) if rows else ("Variable ID",)
    yield columns
    for row in rows:
        yield tuple(row[column] for column in columns)


def _units(publication: Publication) -> Sequence[Row]:
    return checklist(publication)["Observation unit"]


_SOURCE_FIELDS = ("Term Source Name", "Term Source File", "Term Source Version", "Term Source Description")
_TERM = ("", " Term Accession Number", " Term Source REF")
_DESIGN = "Description of the experimental design"
_ASSAY = {
    "Study Assay File Name": ASSAY_FILE,
    "Study Assay Measurement Type": "phenotyping",
    "Study Assay Measurement Type Term Accession Number": "",
    "Study Assay Measurement Type Term Source REF": "",
    "Study Assay Technology Type": "image analysis",
    "Study Assay Technology Type Term Accession Number": "",
    "Study Assay Technology Type Term Source REF": "",
    "Study Assay Technology Platform": "thale",
}


def _block(title: str, fields: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Cells]:
    yield (title,)
    for name, values in fields:
        yield (name, *(values or ("",)))


def _fields(row: Row, names: Mapping[str, str]) -> list[tuple[str, Sequence[str]]]:
    """Return the ISA-Tab fields of a section, and its other fields as comments."""
    known: list[tuple[str, Sequence[str]]] = [(field, (row[name],)) for name, field in names.items()]
    skipped = {*names, "Associated publication"}
    return [*known, *((f"Comment[{name}]", (value,)) for name, value in row.items() if name not in skipped)]


def _events(events: Sequence[Row]) -> list[tuple[str, Sequence[str]]]:
    return [(f"Comment[{field}]", [row[field] for row in events]) for field in (events[0] if events else ())]


def _publications(title: str, kind: str, publication: str) -> Iterator[Cells]:
    names = ("PubMed ID", "Publication DOI", "Publication Author List", "Publication Title", "Publication Status")
    fields = [(f"{kind} {name}", (publication if name == "Publication DOI" else "",)) for name in names]
    terms = [(f"{kind} Publication Status{end}", ("",)) for end in _TERM[1:]]
    yield from _block(title, [*fields, *terms])


def _contacts(title: str, kind: str, people: Sequence[Row]) -> Iterator[Cells]:
    given = {row["Person name"]: row["Person name"].rpartition(" ") for row in people}
    columns: dict[str, list[str]] = {
        "Last Name": [given[row["Person name"]][2] for row in people],
        "First Name": [given[row["Person name"]][0] for row in people],
        "Mid Initials": ["" for _ in people],
        "Email": [row["Person email"] for row in people],
        "Phone": ["" for _ in people],
        "Fax": ["" for _ in people],
        "Address": ["" for _ in people],
        "Affiliation": [row["Person affiliation"] for row in people],
        "Roles": [row["Person role"] for row in people],
        "Roles Term Accession Number": ["" for _ in people],
        "Roles Term Source REF": ["" for _ in people],
    }
    fields: list[tuple[str, Sequence[str]]] = [(f"{kind} Person {name}", values) for name, values in columns.items()]
    yield from _block(title, [*fields, (f"Comment[{kind} Person ID]", [row["Person ID"] for row in people])])


def _factors(factors: Sequence[Row]) -> Iterator[Cells]:
    names = [row["Experimental Factor type"] for row in factors]
    empty = ["" for _ in names]
    fields: list[tuple[str, Sequence[str]]] = [
        ("Study Factor Name", names),
        ("Study Factor Type", names),
        ("Study Factor Type Term Accession Number", empty),
        ("Study Factor Type Term Source REF", empty),
        *(
            (f"Comment[Study {field}]", [row[f"Experimental {field}"] for row in factors])
            for field in ("Factor description", "Factor values")
        ),
    ]
    yield from _block("STUDY FACTORS", fields)


def _protocols(study: Row) -> Mapping[str, Sequence[str]]:
    names = (_GROWTH, _PHENOTYPING)
    described = (study["Cultural practices"], "Photographs of plates are measured by thale.")
    columns = {
        "Name": names,
        "Type": ("sample collection", "data collection"),  # ISA-Tab's type of the step from a source to a sample
        "Type Term Accession Number": ("", ""),
        "Type Term Source REF": ("", ""),
        "Description": described,
        "URI": ("", ""),
        "Version": ("", ""),
        "Parameters Name": ("", ""),
        "Parameters Name Term Accession Number": ("", ""),
        "Parameters Name Term Source REF": ("", ""),
        "Components Name": ("", ""),
        "Components Type": ("", ""),
        "Components Type Term Accession Number": ("", ""),
        "Components Type Term Source REF": ("", ""),
    }
    return {f"Study Protocol {name}": values for name, values in columns.items()}
