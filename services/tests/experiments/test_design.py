"""Design tables: parsing, checks, and the row of a plant."""

import pytest

from thale.errors import DesignTableError
from thale.experiments.design import MAX_ROWS, DesignIndex, check_design, match_rows, parse_csv, parse_json


@pytest.mark.parametrize(
    "data",
    [
        b"plate,genotype\np1,col-0\n",
        b"\xef\xbb\xbfplate;genotype\r\np1;col-0\r\n\r\n",
        b'plate\tgenotype\n"p1"\t col-0 \n',
    ],
)
def test_csv_of_spreadsheets_is_read(data: bytes) -> None:
    design = parse_csv(data)
    assert (design.columns, design.rows, design.factors) == (("plate", "genotype"), (("p1", "col-0"),), ("genotype",))


def test_json_rows_may_lack_columns() -> None:
    design = parse_json(b'[{"plate": "p1", "dose": 1.5}, {"plate": "p2", "light": true, "dose": null}]')
    assert design.columns == ("plate", "dose", "light")
    assert design.rows == (("p1", "1.5", ""), ("p2", "", "true"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"genotype\ncol-0\n", "neither a column"),
        (b"plate,plate\np1,p1\n", "twice"),
        (b"plate,flags\np1,x\n", "'flags' has the name of a column of results"),
        (b"plate,primary_root_length_mm\np1,1\n", "primary_root_length_mm"),
        (b"plate,\np1,1\n", "no printable name"),
        (b"plate,genotype\np1\n", "row 1 has 1 cells for 2 columns"),
        (b"plate,genotype\n,col-0\n", "row 1 names neither"),
        (b"plate,plant\np1,0\n", "row 1: the plant '0'"),
        (b"plate\np1\np1\n", "rows 1 and 2 are for the same subject"),
        (b"image\np1.jpg\np1.png\n", "rows 1 and 2"),
        (b"plate\n\xff\n", "not UTF-8"),
        (b'plate\n"p1\n', "not valid CSV"),
    ],
)
def test_invalid_tables_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DesignTableError, match=message):
        parse_csv(data)


@pytest.mark.parametrize("data", [b"{", b'{"plate": "p1"}', b"[1]", b'[{"plate": ["p1"]}]', b"[" * 100_000])
def test_invalid_json_is_refused(data: bytes) -> None:
    with pytest.raises(DesignTableError):
        parse_json(data)


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(DesignTableError, match=str(MAX_ROWS)):
        check_design(["plate"], [["p1"]] * (MAX_ROWS + 1))


def test_most_specific_row_is_used() -> None:
    design = parse_csv(b"image,plate,plant,genotype\n,p1,,a\n,p1,2,b\nday1.jpg,,,c\nday1.jpg,p1,3,d\n")
    index = DesignIndex(design)
    found = [index.find(image, "p1", plant) for image in ("day2.jpg", "day1.png") for plant in (1, 2, 3)]
    assert found == [("a",), ("b",), ("a",), ("c",), ("c",), ("d",)]
    assert index.find("other.jpg", "p9", 1) == ("",)
    assert match_rows(design, [("day2.jpg", "p1"), ("x.jpg", "p9")]) == (2, 1)
