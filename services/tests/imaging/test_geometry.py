from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thale.imaging.geometry import tiles


@given(st.integers(1, 5000), st.integers(2, 600), st.data())
def test_tiles_cover_image_with_minimal_size(length: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, tile - 1).filter(lambda overlap: (length - overlap) / (tile - overlap) < 200))
    spans = [columns for _, columns in tiles(1, length, tile, overlap)]
    (side,) = {span.stop - span.start for span in spans}
    assert side <= tile
    assert (spans[0].start, spans[-1].stop) == (0, length)
    assert all(before.stop - after.start >= overlap for before, after in pairwise(spans))
    assert (side - 1) * len(spans) - overlap * (len(spans) - 1) < length


def test_tiles_of_120_mm_plate_are_25_windows_of_442_px() -> None:
    windows = list(tiles(1950, 1950, 512, 64))
    assert len(windows) == 25
    assert {rows.stop - rows.start for rows, _ in windows} == {442}


def test_tiles_reject_overlap_as_large_as_tile() -> None:
    with pytest.raises(ValueError, match="overlap 64"):
        list(tiles(100, 100, 64, 64))
