"""`thale experiment export` of a running facade: the validator of ISA-Tab, and the mandatory fields of MIAPPE."""

import csv
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.brapi_experiment import COMPLETE_DESIGN, NAMES, fill_store
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, running_facade
from thale.cli.app import app
from thale.errors import ParameterError
from thale.exports.miappe.checklist import MANDATORY

pytestmark = pytest.mark.integration
VALIDATOR = Path(__file__).parents[4] / ".tools" / "isatools" / "bin" / "python"
FACTS = """
[investigation]
title = "Salt and roots"
submission_date = 2026-12-01
[study]
start_date = 2026-11-01
institution = "Institute of Plants, Utrecht"
country = "NL"
site = "growth chamber 3"
design = "completely randomised plates"
observation_units = "two seedlings on each plate"
growth_facility = "growth chamber"
[[person]]
name = "Ada Maria Green"
role = "data submitter"
affiliation = "Institute of Plants"
email = "ada@example.org"
[[person]]
name = "Bo Leaf"
role = "author"
affiliation = "Institute of Plants"
[biological_material]
organism = "NCBITAXON:3702"
[environment]
"rooting medium composition" = "half-strength MS, 1 % agar"
[factors]
NaCl = "sodium chloride in the medium"
[[event]]
type = "Sowing"
date = 2026-11-01
"""
VALIDATE = """
import json, sys
from isatools import isatab
with open(sys.argv[1]) as file:
    report = isatab.validate(file, log_level=50)
with open(sys.argv[1]) as file:
    [study] = isatab.load(file).studies
[assay] = study.assays
found = {
    "sources": sorted(source.name for source in study.sources),
    "samples": sorted(sample.name for sample in study.samples),
    "factors": [factor.name for factor in study.factors],
    "contacts": [contact.last_name for contact in study.contacts],
    "data_files": sorted({file.filename for file in assay.data_files}),
}
print(json.dumps({"errors": report["errors"], "warnings": report["warnings"], **found}))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facade, Path]]:
    folder = tmp_path_factory.mktemp("export")
    fill_store(folder / "experiments")
    (folder / "facts.toml").write_text(FACTS)
    with running_facade(settings_of(folder, experiments_path=folder / "experiments")) as facade:
        yield facade, folder


def export(served: tuple[Facade, Path], out: Path, *options: str) -> Result:
    command = ["experiment", "export", "Salt 1", "--server", served[0].url, "--out", str(out), *options]
    return CliRunner().invoke(app, command)


def with_facts(served: tuple[Facade, Path]) -> tuple[str, ...]:
    # A plate without a row of the design table has no genotype.
    return ("--metadata", str(served[1] / "facts.toml"), "--allow-missing")


def read(out: Path, name: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(out) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(name).decode()), delimiter="\t"))


WITHOUT_CONFIGURATION = [
    (4002, "Measurement phenotyping/technology image analysis, STUDY.0, STUDY ASSAY.0"),
    (0, "The validator could not identify what the error is: 'assay_table'"),
]
"""isatools has no configuration of phenotyping assays, and therefore no rules for the columns of the assay file."""


@pytest.fixture
def complete(tmp_path: Path) -> Iterator[tuple[Facade, Path]]:
    """A facade with an experiment whose design table has all facts, and without a rule that permits missing ones."""
    fill_store(tmp_path / "experiments", COMPLETE_DESIGN)
    (tmp_path / "facts.toml").write_text(FACTS)
    with running_facade(settings_of(tmp_path, experiments_path=tmp_path / "experiments")) as facade:
        yield facade, tmp_path


def test_isa_tab_passes_the_validator_of_isatools(complete: tuple[Facade, Path], tmp_path: Path) -> None:
    if not VALIDATOR.exists():
        pytest.skip(f"{VALIDATOR} is not installed: make isatools")
    result = export(complete, tmp_path / "out.zip", "--metadata", str(tmp_path / "facts.toml"))
    assert (result.exit_code, "missing" in result.output) == (0, False), result.output
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path)
    command = [str(VALIDATOR), "-c", VALIDATE, str(tmp_path / "i_investigation.txt")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert [(item["code"], item["supplemental"]) for item in report["errors"]] == WITHOUT_CONFIGURATION
    assert report["warnings"] == []
    assert report["sources"] == ["col-0", "ler", "ws"]
    assert len(report["samples"]) == 7
    assert (report["factors"], report["contacts"]) == (["NaCl"], ["Green", "Leaf"])
    assert report["data_files"] == sorted(["d_observations.txt", *NAMES[:3]])


def test_isa_tab_has_material_units_factors_and_values(served: tuple[Facade, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    assert export(served, out, *with_facts(served)).exit_code == 0
    study = read(out, "s_study.txt")
    plants = {row["Characteristics[Observation Unit Name]"]: row for row in study}
    assert (plants["p1 plant 2"]["Source Name"], plants["p1 plant 2"]["Factor Value[NaCl]"]) == ("ler", "50 mM")
    assert {row["Source Name"] for row in study if row["Characteristics[Observation Unit Name]"] == "p1"} == {
        *("col-0", "ler")
    }
    assert {row["Characteristics[Organism]"] for row in study} == {"NCBITAXON:3702"}
    values = [row for row in read(out, "d_observations.txt") if row["Variable ID"] == "primary_root_length_mm"]
    assert [row["Value"] for row in values] == ["10.0", "20.0", "11.0", "21.0", "12.0", "22.0"]
    assays = {row["Assay Name"]: row for row in read(out, "a_phenotyping.txt")}
    assert {row["Assay Name"] for row in values} <= assays.keys()
    assert {row["Sample Name"] for row in assays.values()} <= {row["Sample Name"] for row in study}
    url = assays[values[0]["Assay Name"]]["Comment[Image URL]"]
    content = served[0].get(url.removeprefix(served[0].url))
    assert content.body.decode() == assays[values[0]["Assay Name"]]["Raw Data File"]
    traits = {row["Variable ID"]: row for row in read(out, "tdf.txt")}
    assert traits["primary_root_length_mm"]["Trait accession number"] == "TO:0000227"


def test_miappe_sections_have_their_mandatory_fields(served: tuple[Facade, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    assert export(served, out, "--format", "miappe", *with_facts(served)).exit_code == 0
    for section, fields in MANDATORY.items():
        rows = read(out, f"{section.lower().replace(' ', '_')}.txt")
        assert rows, section
        assert all(row[field] for row in rows for field in fields), section
    [event] = read(out, "event.txt")
    assert event["Event date"] == "2026-11-01"


def test_missing_facts_are_listed_and_nothing_is_written(served: tuple[Facade, Path], tmp_path: Path) -> None:
    result = export(served, tmp_path / "out.zip")
    assert result.exit_code == 1
    for field in ("Start date of study", "Contact institution", "Person: no entry", "Organism"):
        assert field in result.output
    assert "1 of 7 observation units have no genotype" in result.output
    assert not (tmp_path / "out.zip").exists()
    allowed = export(served, tmp_path / "out.zip", "--allow-missing")
    assert allowed.exit_code == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        investigation = archive.read("i_investigation.txt").decode()
    assert "Comment[Contact institution]\t\n" in investigation.replace('""', "")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("[study\n", "not valid TOML"),
        ("[study]\ncolour = 'x'\n", "study.colour"),
        ("[[person]]\nname = 3\n", "person.0.name"),
    ],
)
def test_invalid_metadata_is_refused(served: tuple[Facade, Path], tmp_path: Path, facts: str, message: str) -> None:
    (tmp_path / "facts.toml").write_text(facts)
    result = export(served, tmp_path / "out.zip", "--metadata", str(tmp_path / "facts.toml"))
    assert isinstance(result.exception, ParameterError)
    assert message in str(result.exception)
    assert not (tmp_path / "out.zip").exists()
