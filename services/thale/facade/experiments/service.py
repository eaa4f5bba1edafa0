"""Measurements of experiments: the normal request path, with the store as a prediction cache.

A stored measurement is returned if the image, the model archives, the parameters and the version of thale are equal
(`thale.experiments.measurement_key`). No model runs then.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from thale._version import __version__
from thale.experiments.measurement_key import digest_folder, measurement_id
from thale.exports.names import image_name
from thale.facade.experiments.store_client import StoreClient
from thale.facade.inference.shadow import ShadowRequest
from thale.facade.pipeline import Pipeline
from thale.facade.postprocess.types import JSON
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.upstream.routing import VersionPin
from thale.schemas import ImageMetadata, Phenotype
from thale.schemas.experiment import AddedImage, MeasurementParameters, Reproduction
from thale.series.plates import plate_from_name, strip_suffix
from thale.telemetry import metrics

if TYPE_CHECKING:
    from thale.experiments.measurements import PreparedMeasurement
    from thale.experiments.store import ExperimentStore


@dataclass(frozen=True)
class MeasuredImage:
    """A measurement, new or from the store."""

    id: str
    phenotype: Phenotype
    from_cache: bool
    shadow_requests: Sequence[ShadowRequest] = ()


class ExperimentService:
    """Measures and stores the images of experiments."""

    def __init__(self, pipeline: Pipeline, store: StoreClient) -> None:
        self.store = store
        self._pipeline = pipeline
        self._error_models_digest: str | None = None

    async def add_image(
        self, experiment: str, image: Upload, plate: str | None, options: RequestOptions, *, measure: bool
    ) -> tuple[AddedImage, Sequence[ShadowRequest]]:
        """Add an image to an experiment, with its measurement unless `measure` is false.

        A failed measurement stores nothing, so that the client can send the same request again.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
            ExperimentStoreError: If the store cannot be used.
            ThaleError: If the image, an option, a model or the deadline prevents a measurement.
        """
        experiment_id = (await self.store.call(lambda store: store.experiments.get(experiment))).id
        if measure:
            measured = await self.measure(image, replace(options, experiment=experiment_id))
            metadata = measured.phenotype.image
        else:
            measured, metadata = None, await self._pipeline.read_metadata(image, options)
        metadata = metadata.model_copy(update={"name": options.name or image.name})

        def add(store: "ExperimentStore") -> AddedImage:
            from thale.experiments.images import NewImage

            name = image_name(metadata)
            new = NewImage(metadata, image.data, name, plate or plate_from_name(strip_suffix(name)))
            prepared = None if measured is None else prepare(measured, options)
            stored, is_new = store.images.add(experiment_id, new, prepared)
            return AddedImage(
                **dict(stored),
                is_new=is_new,
                from_cache=measured is not None and measured.from_cache,
                phenotype=None if measured is None else _with_name(measured.phenotype, metadata),
            )

        return await self.store.call(add), () if measured is None else measured.shadow_requests

    async def measure(self, image: Upload, options: RequestOptions) -> MeasuredImage:
        """Return the stored measurement of an image, or measure it. A new measurement is not stored yet.

        Raises:
            ThaleError: If the image, an option, a model or the deadline prevents a measurement.
        """
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(image.data).hexdigest())
        routes = [self._pipeline.select_route(task, options) for task in ("segmentation", "landmarks")]
        key = await self._measurement_id(sha256, [route.digest for route in routes], options.config_digest())
        # A strict request refuses doubtful images, which a stored measurement does not tell apart.
        found = None if options.strict else await self.store.call(lambda store: store.measurements.find(key))
        metrics.PREDICTION_CACHE.labels("miss" if found is None else "hit").inc()
        if found is not None:
            measurement, _ = found
            options.stats.versions = {model.name: model.version for model in measurement.models}
            return MeasuredImage(key, measurement.phenotype, from_cache=True)
        result = await self._pipeline.phenotype(image, replace(options, media_type=JSON))
        phenotype = await asyncio.to_thread(Phenotype.model_validate_json, result.response.body)
        provenance = phenotype.provenance
        # The models that measured may differ from the selected ones: stable serves what a canary fails to.
        digests = [model.digest for model in provenance.models]
        key = await self._measurement_id(sha256, digests, provenance.config_digest)
        return MeasuredImage(key, phenotype, False, result.shadow_requests)

    async def reproduce(self, measurement_id: str, options: RequestOptions) -> Reproduction:
        """Measure the image of a measurement again with the same versions and parameters, and compare the values.

        Raises:
            UnknownMeasurementError: If the measurement does not exist.
            UnknownVersionError: If a version of its models is no longer released.
            ThaleError: If the measurement fails.
        """
        stored, _ = await self.store.call(lambda store: store.measurements.get(measurement_id))
        data = await self.store.call(lambda store: store.images.read(stored.sha256))
        pins = [VersionPin(model.name, model.version) for model in stored.models]
        again = replace(options, pins=pins, media_type=JSON, **dict(stored.parameters))
        result = await self._pipeline.phenotype(Upload(data), again)

        def compare(_: "ExperimentStore") -> Reproduction:
            from thale.experiments.reproduction import compare_measurements

            return compare_measurements(stored, Phenotype.model_validate_json(result.response.body))

        return await self.store.call(compare)

    async def _measurement_id(self, sha256: str, digests: Sequence[str], config_digest: str) -> str:
        if self._error_models_digest is None:
            folder = self._pipeline.settings.error_models_path
            self._error_models_digest = await asyncio.to_thread(digest_folder, folder)
        return measurement_id(sha256, digests, config_digest, __version__, self._error_models_digest)


def prepare(measured: MeasuredImage, options: RequestOptions) -> "PreparedMeasurement":
    """Return a measurement as the store keeps it. Called in a thread of the store."""
    from thale.experiments.measurements import prepare_measurement

    parameters = MeasurementParameters(
        mm_per_px=options.mm_per_px,
        plate_width_mm=options.plate_width_mm,
        page=options.page,
        expected_plants=options.expected_plants,
        rotate=options.rotate,
    )
    return prepare_measurement(measured.id, measured.phenotype, parameters)


def _with_name(phenotype: Phenotype, metadata: ImageMetadata) -> Phenotype:
    return phenotype.model_copy(update={"image": metadata})
