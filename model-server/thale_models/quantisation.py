"""Post-training quantisation of a network to int8 by NNCF, with calibration on synthetic plates.

Weights and activations of the convolutions become 8-bit integers with ranges from the calibration. Source of the
method: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018. The first and the last convolution stay in float32: 8 bits over the range of the input are coarser than the
grey levels of a photograph, and the last one decides which class has the largest probability.

The weights use half of their range, because the 16-bit sums of processors without VNNI would overflow
(https://docs.openvino.ai, "Saturation (overflow) issue workaround"). The graph then has the same meaning everywhere.

NNCF is in the extra `quantisation`. Serving does not need it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thale.errors import MissingPackageError
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import WEIGHTS
from thale.schemas import ModelCard
from thale_models.engine import Engine, load_engine
from thale_models.graph_conversion import STRIDE, convert
from thale_models.graph_files import GraphFiles, save_graph
from thale_models.inference import find_landmarks, segment
from thale_models.synthesis import draw_plate
from thale_models.synthesis.degradation import degrade_plate, sample_degradation

CALIBRATION_SEED = 5_000_000
"""First seed of the calibration plates. No data set of the default models has such a seed."""
_TILES_PER_PLATE = 2


def write_int8_graph(folder: Path, out: Path, card: ModelCard, plates: int) -> GraphFiles:
    """Quantise the network of a model, and write the graph to another folder.

    Args:
        folder: The model in float32, with its weights.
        out: The folder of the int8 version.
        card: The card of the int8 version.
        plates: Number of calibration plates. Every second plate is degraded like poor photographs.

    Raises:
        MissingPackageError: If NNCF is not installed.
        ArchiveError: If the weights do not fit the card.
    """
    nncf = _import_nncf()
    float_card = card.model_copy(update={"precision": "float32"})
    engine = load_engine(float_card, folder / WEIGHTS, threads=1)
    tiles = [tile for seed in tqdm(range(plates), "calibration", unit="plate") for tile in _tiles(seed, card, engine)]
    graph = convert(float_card, folder / WEIGHTS)
    convolutions = [
        node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"
    ]
    quantised = nncf.quantize(
        graph,
        nncf.Dataset(tiles),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(tiles),
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(names=[convolutions[0], convolutions[-1]]),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )
    quantised.set_rt_info(engine.stride, list(STRIDE))
    return save_graph(quantised, out, card, "int8")


def _import_nncf() -> Any:
    try:
        import nncf
    except ImportError as error:
        raise MissingPackageError("int8 needs NNCF: run pip install 'thale[models,quantisation]'") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def _tiles(number: int, card: ModelCard, engine: Engine) -> Iterator[NDArray[np.float32]]:
    """Yield some tiles of a calibration plate, as the network receives them."""
    plate = draw_plate(CALIBRATION_SEED + number)
    rng = np.random.default_rng((CALIBRATION_SEED, number))
    if number % 2:
        plate = degrade_plate(plate, sample_degradation(rng), rng)
    image_HW3 = decode(plate.encoded)
    recorder = _TileRecorder(engine, len(card.classes))
    predict = segment if card.task == "segmentation" else find_landmarks
    predict(image_HW3, card, recorder, calibrate(image_HW3, plate.mm_per_px))
    for index in rng.permutation(len(recorder.tiles))[:_TILES_PER_PLATE]:
        yield recorder.tiles[index]


class _TileRecorder:
    """An engine that records its input and computes nothing."""

    def __init__(self, engine: Engine, outputs: int) -> None:
        self.name, self.stride, self.batch_size = "recorder", engine.stride, 1
        self.tiles: list[NDArray[np.float32]] = []
        self._outputs = outputs

    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        self.tiles.append(batch_N3HW.copy())
        count, _, height, width = batch_N3HW.shape
        return np.zeros((count, self._outputs, height, width), np.float32)
