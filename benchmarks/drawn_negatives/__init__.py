"""Drawn pictures of anything but a square plate: charts, pages, grids, round dishes, eyes, leaves, walls and noise.

Many of them contain a square with four long edges, because such pictures are the ones that a search for squares takes
for a plate. `as_photograph` adds the noise, the blur and the uneven light of a camera to a drawing.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drawn_negatives.documents import (
    bar_chart,
    chessboard,
    dot_grid,
    empty_box,
    framed_text,
    line_chart,
    map_of_roads,
    matrix_code,
    printed_grid,
    screenshot,
    table,
    text_page,
)
from drawn_negatives.drawing import as_photograph
from drawn_negatives.laboratory import (
    framed_leaf,
    gel,
    leaf,
    microscope,
    multiwell_plate,
    retina,
    rosettes,
    round_dish,
    soil,
    tissue_section,
)
from drawn_negatives.surfaces import (
    brick_wall,
    circuit,
    empty,
    framed_noise,
    gradient,
    noise,
    scratched_metal,
    tiled_floor,
    window,
)

Drawing = Callable[[np.random.Generator], Image.Image]


def photographed(drawing: Drawing) -> Drawing:
    """Return a drawing that is photographed."""

    def draw(rng: np.random.Generator) -> Image.Image:
        return as_photograph(rng, drawing(rng))

    return draw


_FLAT = (
    *(printed_grid, dot_grid, text_page, framed_text, bar_chart, line_chart, table, screenshot, chessboard),
    *(matrix_code, map_of_roads, empty_box),
)
NEGATIVES: Mapping[str, Drawing] = {
    **{drawing.__name__: drawing for drawing in _FLAT},
    **{f"photographed_{drawing.__name__}": photographed(drawing) for drawing in _FLAT},
    **{
        drawing.__name__: drawing
        for drawing in (
            *(round_dish, multiwell_plate, retina, microscope, tissue_section, leaf, framed_leaf, rosettes, noise),
            *(framed_noise, gradient, empty, circuit, brick_wall, tiled_floor, window, gel, scratched_metal, soil),
        )
    },
}
"""All drawings by name. Each takes a random generator, so that every seed gives another picture."""


def draw_negative(name: str, seed: int) -> NDArray[np.uint8]:
    """Return one drawing as uint8 HW3."""
    return np.asarray(NEGATIVES[name](np.random.default_rng(seed)).convert("RGB"))
