"""The request path on one screen: header, versions, both models at once, plants and traits, the format asked for.

Protocols differ in how an image comes in and how an answer goes out; what happens between is here, once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from thale._version import __version__
from thale.errors import ThaleError
from thale.facade.admission import Places
from thale.facade.inference import output_metrics
from thale.facade.inference.fallback import Asking, together
from thale.facade.inference.shadow import Copy, Mirror
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import PNG, Measurement, Rendered
from thale.facade.postprocess.worker_pool import Pool
from thale.facade.request_options import Upload, Wish
from thale.facade.settings import Settings
from thale.facade.stage_timing import stage
from thale.facade.upstream import routing
from thale.facade.upstream.breaker_registry import Breakers
from thale.facade.upstream.model_client import ModelClient, Question
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.release_source import Records
from thale.facade.upstream.routing import Choice
from thale.imaging.image_io import read_header
from thale.schemas import ImageFacts, ReleaseRecord, Task
from thale.telemetry import tracing

_Result = TypeVar("_Result")




@dataclass(frozen=True)
class Served:
    """What goes to the user, and what shadows are asked once it has gone."""

    rendered: Rendered
    copies: Sequence[Copy] = ()


@dataclass
class Pipeline:
    """From an image to an answer."""

    settings: Settings
    models: ModelClient
    pool: Pool
    records: Records
    mirror: Mirror = field(init=False)
    places: Places = field(init=False)
    _breakers: Breakers = field(init=False)
    _asking: Asking = field(init=False)
    _followed: ReleaseRecord | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._breakers = Breakers(self.settings)
        self._asking = Asking(self.models, self.pool, self._breakers, self.settings)
        self.places = Places(self.settings)
        self.mirror = Mirror(self.models, self.settings, self.places.calm)

    async def phenotype(self, image: Upload, wish: Wish) -> Served:
        """Measure the plants of an image. Raises a ThaleError for everything that can be wrong."""
        started = time.monotonic()
        facts = await self._facts(image, wish)
        question = _question(image, facts, wish)
        choices = [self.choose(task, wish) for task in ("segmentation", "landmarks")]
        work = Measurement(
            facts=facts,
            config_digest=wish.config_digest(),
            package_version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            expected_plants=wish.expected_plants,
            media_type=wish.media_type,
            wide=wish.wide,
            image=image.data if wish.media_type == PNG else b"",
            page=wish.page,
            started=started,
        )
        async with self.places.at_work(wish.deadline):
            with stage("models"):
                answers = await together(self._asking.ask(choice, question, wish.deadline) for choice in choices)
            with stage("measuring"):
                rendered, answers = await self._asking.read(
                    tasks.measure, answers, [question] * len(answers), wish.deadline, work
                )
        wish.account.versions = {answer.choice.name: answer.choice.version for answer in answers}
        segmented, marked = answers
        if rendered.seen is None:
            return Served(rendered)
        output_metrics.count(rendered.seen, segmented.choice, marked.choice)
        pairs = ((segmented, marked), (marked, segmented))
        copies = [
            Copy(shadow, question, stable, companion, replace(work, image=b""), rendered.seen, tracing.origin())
            for stable, companion in pairs
            if (shadow := stable.choice.shadow) is not None
        ]
        return Served(rendered, copies)

    async def segment(self, image: Upload, wish: Wish) -> Served:
        """Return the organs of an image: as the model's probability maps, or in numbers, or as a picture."""
        choice = self._choose_alone("segmentation", wish)
        return Served(await self.infer(choice, [image], wish, tasks.render_segmentation, wish.media_type))

    async def landmarks(self, image: Upload, wish: Wish) -> Served:
        """Return the landmarks of an image."""
        choice = self._choose_alone("landmarks", wish)
        return Served(await self.infer(choice, [image], wish, tasks.render_landmarks))

    async def infer(
        self, choice: Choice, images: Sequence[Upload], wish: Wish, render: Callable[..., _Result], *rest: object
    ) -> _Result:
        """Ask one model about images, and return what a measuring process makes of the answers: all of one version.

        A fault of one image among several says which one it is.
        """

        async def ask(index: int, image: Upload) -> tuple[Question, Answer]:
            try:
                question = _question(image, await self._facts(image, wish), wish)
                async with self.places.at_work(wish.deadline):
                    with stage("models"):
                        return question, await self._asking.ask(choice, question, wish.deadline)
            except ThaleError as error:
                if len(images) == 1:
                    raise
                raise type(error).saying(f"image {index} of the batch: {error}") from error

        asked = await together(ask(index, image) for index, image in enumerate(images))
        questions, answers = [question for question, _ in asked], [answer for _, answer in asked]
        if len({answer.choice.version for answer in answers}) > 1:
            answers = await together(
                self._asking.instead(answer, question, wish.deadline)
                for answer, question in zip(answers, questions, strict=True)
            )
        with stage("measuring"):
            result, answers = await self._asking.read(render, answers, questions, wish.deadline, *rest)
        wish.account.versions = {answer.choice.name: answer.choice.version for answer in answers}
        return result

    def choose(self, task: Task, wish: Wish, model: str | None = None) -> Choice:
        """Return the version that answers a task for this request: of that model, or of the usual one."""
        defaults = {"segmentation": self.settings.segmentation_model, "landmarks": self.settings.landmarks_model}
        with tracing.span("thale.choose", {"thale.task": task}) as span:
            choice = routing.choose(
                self.record(),
                task,
                model or defaults[task],
                experiment=wish.experiment,
                request_id=wish.request_id,
                pins=wish.pins,
            )
            span.set_attributes(choice.told())
        return choice

    def _choose_alone(self, task: Task, wish: Wish) -> Choice:
        """Return who answers where only one task is asked for, so that a model for another one is a mistake."""
        for pin in wish.pins:
            routing.pinned_choice(self.record(), pin, task)
        return self.choose(task, wish)

    def record(self) -> ReleaseRecord:
        """Return what is released now."""
        record = self.records.current()
        if record is not self._followed:
            self._breakers.follow(record)
            self._followed = record
        return record

    async def _facts(self, image: Upload, wish: Wish) -> ImageFacts:
        """Read the header; no pixel is decoded here. In a thread, because 64 MB take a while to hash."""
        with tracing.span("thale.header", {"thale.image.bytes": len(image.data)}) as span:
            facts = await asyncio.to_thread(read_header, image.data, wish.name or image.name, wish.page)
            span.set_attribute("thale.image.format", facts.format)
            span.set_attribute("thale.image.megapixels", facts.width * facts.height / 1e6)
        wish.account.holds(facts)
        return facts


def _question(image: Upload, facts: ImageFacts, wish: Wish) -> Question:
    return Question(image.data, facts.width, facts.height, wish.mm_per_px, wish.plate_width_mm, wish.page)
