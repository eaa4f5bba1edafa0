"""Tests of the flag reference: it has exactly the flags that the source creates."""

import ast
from collections.abc import Iterator
from pathlib import Path

import thale
from thale.phenotyping.quality.features import EVIDENCE_FLAGS
from thale.phenotyping.quality.flag_definitions import FLAG_DEFINITIONS
from thale.phenotyping.quality.flag_reference import render_reference
from thale.phenotyping.quality.image_quality import COMPRESSION_QUALITIES, RESOLUTIONS_PX_PER_MM
from thale.phenotyping.traits.measure import DOUBT_FLAGS, UNKNOWN_FLAGS

SOURCE = Path(thale.__file__).parent
REFERENCE = Path(__file__).parents[4] / "docs" / "flags.md"
CODES = [flag.code for flag in FLAG_DEFINITIONS]
COMPUTED = {*COMPRESSION_QUALITIES, *RESOLUTIONS_PX_PER_MM, "unmarked_root", "unassigned_root"}
"""Codes that reach `Flag` through a variable."""


def find_codes() -> Iterator[str]:
    """Yield the constant codes of all flags in the source."""
    for path in (*SOURCE.glob("phenotyping/**/*.py"), *SOURCE.glob("imaging/*.py"), *SOURCE.glob("series/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Flag", "_flag"):
                first = [keyword.value for keyword in node.keywords if keyword.arg == "code"] or node.args[:1]
                if isinstance(first[0], ast.Constant):
                    yield str(first[0].value)


def test_definitions_are_the_flags_of_the_source() -> None:
    found = {*find_codes(), *COMPUTED, "not_measured"}  # the last one is created by the batch
    assert len(found) > 60
    assert set(CODES) == found
    assert len(CODES) == len(set(CODES))


def test_effects_name_defined_flags() -> None:
    assert {*EVIDENCE_FLAGS, *DOUBT_FLAGS, *UNKNOWN_FLAGS} <= set(CODES)


def test_reference_states_the_effect_on_quality() -> None:
    rows = {line.split("`")[1]: line.split(" | ")[2] for line in render_reference().splitlines() if line[:3] == "| `"}
    assert rows["crossing"] == "unknown"
    assert rows["root_in_other_lane"] == "evidence"
    assert rows["no_plate"] == rows["tip_unconfirmed"] == "uncertain"
    assert rows["plate_tilted"] == ""


def test_flags_md_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(), "run: make generate"
