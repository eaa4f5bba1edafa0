"""The main path through the running server: an image in, a phenotype out, in four formats."""

import csv
import io

import pictures
import pytest
from PIL import Image
from running_facade import Facade

from thale.contract import Phenotype


def test_a_photograph_becomes_a_phenotype(facade: Facade) -> None:
    reply = facade.phenotype(pictures.jpeg(), "mm_per_px=0.25&name=plate 7.jpg")
    assert reply.status == 200, reply.body
    found = Phenotype.model_validate_json(reply.body)
    assert (found.image.width, found.image.height, found.image.name) == (240, 200, "plate 7.jpg")
    assert (found.scale.mm_per_px, found.scale.source) == (0.25, "given")
    assert [model.name for model in found.provenance.models] == ["plate-seg", "plate-landmarks"]
    assert found.provenance.config_digest.startswith("sha256:")
    assert 0 < found.timings.segment_s <= found.timings.total_s
