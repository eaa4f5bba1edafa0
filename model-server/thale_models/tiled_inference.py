"""Tiled inference: predicts a whole image tile by tile, without seams and with bounded memory.

Tiles overlap. The value of a pixel is the mean over its tiles, weighted towards their centres
(`geometry.tile_weights`). Tiles begin at multiples of the network's stride, so that overlapping tiles pool the same
pixels and agree where both have enough context. Only one row of tiles is in memory as floats: a band is yielded as soon
as no later tile can change it. The tiles of a row go to the engine in batches of its size. A batch depends on the image
only, never on other requests, so that an image has the same result at any load.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from thale.imaging.geometry import Window, tile_weights, tiles
from thale.schemas import ModelCard
from thale_models.engine import Engine
from thale_models.transforms import Background, normalise


@dataclass(frozen=True)
class OutputBand:
    """Final rows of the blended maps: float32, planes x rows x image width. `top` is the first row.

    The receiver of a band may modify its array.
    """

    top: int
    planes_CHW: NDArray[np.float32]

    @property
    def rows(self) -> slice:
        """The rows of the band in the image."""
        return slice(self.top, self.top + self.planes_CHW.shape[1])


def predict_in_bands(
    pixels_HW3: NDArray[np.uint8], card: ModelCard, engine: Engine, first_plane: int = 0
) -> Iterator[OutputBand]:
    """Yield the blended probabilities of an image at training scale, from top to bottom.

    Args:
        pixels_HW3: The image at training scale.
        card: The card, with normalisation and tile size.
        engine: The model.
        first_plane: The first plane to return.
    """
    height, width = pixels_HW3.shape[:2]
    background = Background.measure(pixels_HW3, card.normalisation.background_mm / card.mm_per_px)
    rows_of_tiles = [
        list(group) for _, group in groupby(_tile_windows(height, width, card, engine.stride), lambda w: w[0])
    ]
    tops = [row[0][0].start for row in rows_of_tiles]
    tile_height = rows_of_tiles[0][0][0].stop
    padded_width = rows_of_tiles[0][-1][1].stop
    tile_width = rows_of_tiles[0][0][1].stop
    weight_HW = tile_weights(tile_height, tile_width, card.overlap_px)
    sums_CHW = np.zeros((len(card.classes) - first_plane, tile_height, padded_width), np.float32)
    weights_HW = np.zeros((tile_height, padded_width), np.float32)
    for windows, top, next_top in zip(rows_of_tiles, tops, [*tops[1:], height], strict=True):
        for first in range(0, len(windows), engine.batch_size):
            batch = windows[first : first + engine.batch_size]
            tiles_N3HW = np.stack([_normalised_tile(pixels_HW3, background, window, card) for window in batch])
            for (_, columns), probabilities_CHW in zip(batch, engine(tiles_N3HW)[:, first_plane:], strict=True):
                sums_CHW[:, :, columns] += probabilities_CHW * weight_HW
                weights_HW[:, columns] += weight_HW
        finished_row_count = next_top - top
        yield OutputBand(top, sums_CHW[:, :finished_row_count, :width] / weights_HW[:finished_row_count, :width])
        for buffer in (sums_CHW, weights_HW[None]):
            buffer[:, :-finished_row_count] = buffer[:, finished_row_count:]
            buffer[:, -finished_row_count:] = 0


def _tile_windows(height: int, width: int, card: ModelCard, stride: int) -> Iterator[Window]:
    """Yield the windows of the tiles in whole strides. The last ones may extend up to a stride beyond the image."""
    for rows, columns in tiles(
        -(-height // stride), -(-width // stride), card.tile_px // stride, card.overlap_px // stride
    ):
        yield (
            slice(rows.start * stride, rows.stop * stride),
            slice(columns.start * stride, columns.stop * stride),
        )


def _normalised_tile(
    pixels_HW3: NDArray[np.uint8], background: Background, window: Window, card: ModelCard
) -> NDArray[np.float32]:
    """Return the network's input for one window, 3HW. Pixels beyond the image repeat its edge."""
    height, width = pixels_HW3.shape[:2]
    inside = (slice(window[0].start, min(window[0].stop, height)), slice(window[1].start, min(window[1].stop, width)))
    tile_3HW = normalise(pixels_HW3[inside], background.window(inside), card.normalisation)
    edge_padding = [
        (0, full_slice.stop - clipped_slice.stop) for full_slice, clipped_slice in zip(window, inside, strict=True)
    ]
    is_complete = all(count == 0 for _, count in edge_padding)
    return tile_3HW if is_complete else np.pad(tile_3HW, [(0, 0), *edge_padding], mode="edge")
