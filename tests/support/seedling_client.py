"""Client that measures without a server: it finds one seedling on each image, and records its requests."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.sample_phenotypes import image_metadata, phenotype, seedling, served_models
from thale.cli import analyze
from thale.schemas import Phenotype


class SeedlingClient:
    """Client that finds one seedling on each image. It counts its requests."""

    def __init__(self) -> None:
        self.request_count = 0
        self.images: list[Path | bytes] = []
        self.parameters: dict[str, object] = {}
        self.error: Exception | None = None

    def models(self) -> list[SimpleNamespace]:
        """Return the models of the sample phenotypes, which all serve."""
        return served_models()

    def is_ready(self) -> bool:
        return True

    def phenotype(self, image: Path | bytes, **parameters: object) -> Phenotype:
        self.request_count += 1
        self.images.append(image)
        self.parameters = parameters
        if self.error is not None:
            raise self.error
        data = image if isinstance(image, bytes) else image.read_bytes()
        name = image.name if isinstance(image, Path) else str(parameters["name"])
        return phenotype(seedling(), image=image_metadata(name, hashlib.sha256(data).hexdigest(), 240, 200))


def connect_to(monkeypatch: pytest.MonkeyPatch, client: SeedlingClient) -> SeedlingClient:
    """Let `thale analyze` use the client."""

    @contextmanager
    def connect(*_arguments: object) -> Iterator[SeedlingClient]:
        yield client

    monkeypatch.setattr(analyze, "connect_or_start", connect)
    return client
