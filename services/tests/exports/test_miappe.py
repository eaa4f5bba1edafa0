"""MIAPPE and ISA-Tab archives of hostile and incomplete experiments, without a server."""

import csv
import io
import zipfile
from pathlib import Path

import pytest

from thale.errors import ParameterError
from thale.exports.miappe.archive import write_isa_tab, write_miappe
from thale.exports.miappe.checklist import Publication, checklist, find_missing
from thale.exports.miappe.metadata import MAX_FILE_BYTES, PublicationFacts, read_facts
from thale.schemas.brapi import (
    BrapiObservation,
    BrapiObservationUnit,
    BrapiStudy,
    BrapiTreatment,
    BrapiUnitLevel,
    BrapiUnitPosition,
)

HOSTILE = 'a\tb\r\n"c"\x00\u2028=1+1'


def unit(number: int, genotype: str | None, factor: str = "NaCl") -> BrapiObservationUnit:
    level = BrapiUnitLevel(levelName="plate", levelOrder=2, levelCode=HOSTILE)
    study = BrapiUnitLevel(levelName="study", levelOrder=0)
    return BrapiObservationUnit(
        observationUnitDbId=f"exp-1.{number}.0.0",
        observationUnitName=HOSTILE,
        studyDbId="exp-1",
        studyName=HOSTILE,
        germplasmName=genotype,
        observationUnitPosition=BrapiUnitPosition(observationLevel=level, observationLevelRelationships=(study,)),
        treatments=(BrapiTreatment(factor=factor, modality=HOSTILE),),
    )


def publication(*units: BrapiObservationUnit, facts: PublicationFacts | None = None) -> Publication:
    study = BrapiStudy(
        studyDbId="exp-1", studyName=HOSTILE, studyType="Phenotyping", observationLevels=(), additionalInfo={}
    )
    return Publication(study, units, (), facts or PublicationFacts(), "https://h")


def observation(number: int) -> BrapiObservation:
    return BrapiObservation(
        observationDbId=f"o{number}",
        observationUnitDbId=f"exp-1.{number}.0.0",
        observationUnitName=HOSTILE,
        observationVariableDbId="primary_root_length_mm",
        observationVariableName="primary_root_length_mm",
        studyDbId="exp-1",
        collector="thale",
        additionalInfo={"image": HOSTILE, "flags": "x"},
    )


def isa_tab(found: Publication) -> dict[str, list[list[str]]]:
    """Return the rows of each file of an ISA-Tab archive, as lines that are split at tabs."""
    out = io.BytesIO()
    write_isa_tab(out, found, [observation(number) for number in (1, 2, 9)])
    with zipfile.ZipFile(out) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert all("\r" not in text and "\x00" not in text and "\u2028" not in text for text in texts.values())
    return {name: list(csv.reader(io.StringIO(text, newline=""), delimiter="\t")) for name, text in texts.items()}


def test_hostile_texts_do_not_break_rows() -> None:
    facts = PublicationFacts.model_validate({"study": {"site": HOSTILE}, "environment": {HOSTILE: HOSTILE}})
    files = isa_tab(publication(unit(1, HOSTILE, HOSTILE), unit(2, "ler"), facts=facts))
    for name in ("s_study.txt", "a_phenotyping.txt", "d_observations.txt"):
        assert {len(row) for row in files[name]} == {len(files[name][0])}, name
    titles = [row[0] for row in files["i_investigation.txt"] if row[0].isupper()]
    assert titles == [
        *("ONTOLOGY SOURCE REFERENCE", "INVESTIGATION", "INVESTIGATION PUBLICATIONS", "INVESTIGATION CONTACTS"),
        *("STUDY", "STUDY DESIGN DESCRIPTORS", "STUDY PUBLICATIONS", "STUDY FACTORS", "STUDY ASSAYS"),
        *("STUDY PROTOCOLS", "STUDY CONTACTS"),
    ]
    assert len(files["a_phenotyping.txt"]) == 1 + 2  # the unit 9 is not one of the experiment
    assert [row[4] for row in files["d_observations.txt"][1:]] == ["", "", ""]


def test_equal_experiments_give_equal_archives() -> None:
    archives = []
    for _ in range(2):
        out = io.BytesIO()
        found = publication(unit(1, "ler"))
        write_miappe(out, checklist(found), [observation(1)])
        archives.append(out.getvalue())
    assert archives[0] == archives[1]


def test_empty_experiment_lists_what_is_missing() -> None:
    found = publication()
    missing = find_missing(found, checklist(found))
    sections = {text.partition(":")[0] for text in missing}
    assert sections == {
        "Investigation",
        "Study",
        "Person",
        "Biological material",
        "Observation unit",
        "Observed variable",
    }
    assert all("Add" in text or "Measure" in text for text in missing)
    isa_tab(found)


def test_missing_facts_are_counted_by_row() -> None:
    people = [{"name": "A B", "role": "author", "affiliation": "I"}, {"name": "C D", "affiliation": " "}]
    found = publication(unit(1, "ler"), unit(2, None), facts=PublicationFacts.model_validate({"person": people}))
    missing = find_missing(found, checklist(found))
    assert [text.partition(".")[0] for text in missing if text.startswith(("Person", "Biological"))] == [
        "Person: 'Person role' is unknown in 1 of 2 entries",
        "Person: 'Person affiliation' is unknown in 1 of 2 entries",
        "Biological material: 'Organism' is unknown",
        "Biological material: 1 of 2 observation units have no genotype",
    ]


def test_huge_metadata_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.toml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ParameterError, match="larger than"):
        read_facts(tmp_path / "facts.toml")
