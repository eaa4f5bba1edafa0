"""The software bill of materials of `make sbom` is valid CycloneDX, and has every installed package."""

import json
import subprocess
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BOM = ROOT / "dist" / "sbom.cdx.json"
PYTHON = ROOT / ".tools" / "sbom" / "bin" / "python"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BOM.exists() or not PYTHON.exists(), reason="run make sbom"),
]


def validate(text: str) -> str:
    """Return the first violation of the schema of CycloneDX 1.6, or `None`."""
    completed = subprocess.run([PYTHON, "-c", VALIDATE], input=text, capture_output=True, text=True, check=True)
    return completed.stdout.strip()


def test_bill_of_materials_follows_the_schema() -> None:
    text = BOM.read_text()
    assert validate(text) == "None"
    damaged = json.loads(text)
    del damaged["components"][0]["name"]
    assert "'name' is a required property" in validate(json.dumps(damaged)), "the validator accepts everything"


def test_bill_of_materials_has_every_installed_package() -> None:
    document = json.loads(BOM.read_text())
    listed = {canonicalize_name(component["name"]) for component in document["components"]}
    listed.add(canonicalize_name(document["metadata"]["component"]["name"]))
    # Only this folder: setuptools adds the packages that it bundles to the path of the process.
    installed = distributions(path=[sysconfig.get_path("purelib")])
    assert {canonicalize_name(package.name) for package in installed} - listed == set()
    assert all(component["version"] for component in document["components"])
