import numpy as np
import pytest
from PIL import Image

from thale.imaging.reduced_image import reduce_to_grey


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2848, 4288), (3001, 4203), (700, 1101), (40, 50)])
def test_reduction_by_bands_equals_that_of_the_image(shape: tuple[int, int]) -> None:
    image_HW3 = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    reduced = reduce_to_grey(image_HW3)
    expected_HW = np.asarray(Image.fromarray(image_HW3).reduce(reduced.step), np.float32).mean(axis=2)
    assert reduced.step == -(-max(shape) // 1100)
    assert np.array_equal(reduced.grey_HW, expected_HW)
