"""One trace from the request to the answer: a real facade, a real TorchServe, a collector that takes what they send."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import sample_images
from tests.support.facade_process import FacadeProcess, Reply, facade_process
from tests.support.otlp_receiver import Collector, Span, running_collector
from tests.support.tiny_models import tiny_model
from tests.support.torchserve_process import TorchServe, running_torchserve
from thale.files import write_atomically
from thale.release.registry.archive_validation import read_archive
from thale.schemas import Release, ReleasedVersion, ReleaseRecord, Task
from thale.telemetry.tracing import ATTRIBUTES
from thale_models.archive import write_archive

PLATE = sample_images.jpeg()
MODELS: dict[tuple[str, str], Task] = {
    ("plate-seg", "1.0.0"): "segmentation",
    ("plate-seg", "1.1.0"): "segmentation",
    ("plate-landmarks", "1.0.0"): "landmarks",
}
NOWHERE = "1.2.0"
"""A version of plate-seg that is released, and that the model server does not have."""
CALLER = ("a" * 32, "b" * 16)
SECRET = "anna"
"""Stands in everything that a user can write; no span and no log line may repeat it."""


@dataclass
class Stack:
    facade: FacadeProcess
    torchserve: TorchServe
    collector: Collector
    record: Path
    base: ReleaseRecord

    def phenotype(self, query: str = "", body: bytes = PLATE, **headers: str) -> Reply:
        return self.facade.ask("POST", f"/v1/phenotype{query}", body, headers)

    def release(self, **fields: object) -> None:
        """Change the release of plate-seg, and wait until the facade has seen it."""
        changed = self.base.models["plate-seg"].model_copy(update=fields)
        record = ReleaseRecord(models={**self.base.models, "plate-seg": changed})
        before = self.record_readings()
        write_atomically(self.record, record.model_dump_json().encode())
        while self.record_readings() == before:
            self.facade.ask("GET", "/v1/models")

    def record_readings(self) -> int:
        return sum(line["message"] == "release record read" for line in self.facade.lines())

    def trace_of(self, reply: Reply, enough: Callable[["Trace"], bool] = lambda trace: True) -> "Trace":
        """Return the trace of a request, once the request's own span is there and what else is waited for."""

        def found(spans: list[Span]) -> "Trace | None":
            roots = [span for span in spans if span.attributes.get("thale.request_id") == reply.request_id]
            if not roots:
                return None
            known = Trace(roots[0], [span for span in spans if span.trace_id == roots[0].trace_id])
            return known if enough(known) else None

        trace = found(self.collector.wait_for(lambda spans: found(spans) is not None))
        assert trace is not None
        return trace


@dataclass
class Trace:
    root: Span
    spans: list[Span]

    def named(self, name: str, parent: Span | None = None) -> list[Span]:
        """Return the spans of that name, a parent's alone where one is given, in the order in which they began."""
        found = [span for span in self.spans if span.name == name and parent in (None, self.parent(span))]
        return sorted(found, key=lambda span: span.start_ns)

    def parent(self, span: Span) -> Span | None:
        return next((other for other in self.spans if other.span_id == span.parent_id), None)

    def path(self, span: Span) -> str:
        """Return the names from the request's span to this one."""
        above = self.parent(span)
        return span.name if above is None else f"{self.path(above)} > {span.name}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home, patch = tmp_path_factory.mktemp("ts"), pytest.MonkeyPatch()
    archives = []
    for seed, ((name, version), task) in enumerate(MODELS.items()):
        model = tiny_model(tmp_path_factory.mktemp(name), task, seed, name=name, version=version)
        archives.append(write_archive(model.weights, model.card, home / "store").name)
    record = home / "record.json"
    base = released(home / "store")
    record.write_text(base.model_dump_json())
    with running_collector() as (url, collector), patch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        environment.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        with (
            running_torchserve(home, archives) as torchserve,
            facade_process(home / "facade.log", **settings(record, torchserve), THALE_SHADOW_DUTY="1") as facade,
        ):
            yield Stack(facade, torchserve, collector, record, base)


def released(store: Path) -> ReleaseRecord:
    models = {}
    for name, task in (("plate-seg", "segmentation"), ("plate-landmarks", "landmarks")):
        archives = [read_archive(store / f"{name}-{version}.mar") for model, version in MODELS if model == name]
        versions = {one.card.version: ReleasedVersion(digest=one.digest, card=one.card) for one in archives}
        models[name] = Release(task=task, stable="1.0.0", versions=versions)
    nowhere = models["plate-seg"].versions["1.0.0"]
    nowhere = nowhere.model_copy(update={"card": nowhere.card.model_copy(update={"version": NOWHERE})})
    models["plate-seg"] = models["plate-seg"].model_copy(
        update={"versions": {**models["plate-seg"].versions, NOWHERE: nowhere}}
    )
    return ReleaseRecord(models=models)


def settings(record: Path, torchserve: TorchServe) -> dict[str, str]:
    return {
        "THALE_RECORD_PATH": str(record),
        "THALE_MODEL_URL": f"http://127.0.0.1:{torchserve.inference_port}",
        "THALE_MANAGEMENT_URL": f"http://127.0.0.1:{torchserve.management_port}",
        "THALE_MEASURING_PROCESSES": "1",
    }


def whole(trace: Trace) -> bool:
    return len(trace.named("encode")) == 2


def test_a_request_is_one_trace_through_all_processes(stack: Stack) -> None:
    reply = stack.phenotype("?plate_width_mm=120", traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01")
    assert reply.status == 200
    trace = stack.trace_of(reply, whole)
    assert (trace.root.name, trace.root.kind) == ("POST /v1/phenotype", "server")
    assert (trace.root.trace_id, trace.root.parent_id) == CALLER
    here = [trace.path(span) for span in trace.spans if span.service == "thale-facade"]
    assert sorted(here) == sorted(
        [
            "POST /v1/phenotype",
            "POST /v1/phenotype > thale.body",
            "POST /v1/phenotype > thale.header",
            *["POST /v1/phenotype > thale.choose"] * 2,
            "POST /v1/phenotype > thale.wait",
            "POST /v1/phenotype > thale.ask",
            *["POST /v1/phenotype > thale.ask > thale.model"] * 2,
            "POST /v1/phenotype > thale.measure",
            "POST /v1/phenotype > thale.measure > thale.read",
            "POST /v1/phenotype > thale.measure > thale.plants",
            "POST /v1/phenotype > thale.measure > thale.traits",
            "POST /v1/phenotype > thale.measure > thale.export",
        ]
    )
    for asked in trace.named("thale.model"):
        assert (asked.kind, asked.attributes["thale.why"]) == ("client", "stable")
        [worker] = trace.named("thale.worker", asked)
        assert (worker.kind, worker.service) == ("server", "thale-models")
        assert worker.resource["thale.model"] == asked.attributes["thale.model"]
        assert worker.resource["thale.version"] == asked.attributes["thale.version"]
        steps = sorted((span for span in trace.spans if trace.parent(span) == worker), key=lambda span: span.start_ns)
        assert list(dict.fromkeys(step.name for step in steps)) == ["decode", "transform", "inference", "encode"]
        assert asked.start_ns <= worker.start_ns <= steps[0].start_ns
        assert steps[-1].end_ns <= worker.end_ns <= asked.end_ns
    assert not any(span.is_error or "error.type" in span.attributes for span in trace.spans)


def test_spans_and_logs_say_what_is_on_the_list_and_nothing_that_a_user_wrote(stack: Stack) -> None:
    reply = stack.phenotype(f"?plate_width_mm=120&name={SECRET}.jpg&experiment={SECRET}")
    assert reply.status == 200
    refused = stack.phenotype(f"?model={SECRET}")
    lost = stack.facade.ask("GET", f"/{SECRET}/{SECRET}.jpg")
    assert (refused.status, lost.status) == (404, 404)
    trace = stack.trace_of(reply, whole)
    assert (stack.trace_of(refused).root.name, stack.trace_of(lost).root.name) == ("POST /v1/phenotype", "GET")
    told = {name: value for span in stack.collector.spans() for name, value in span.attributes.items()}
    assert set(told) <= set(ATTRIBUTES)
    assert SECRET not in repr(stack.collector.spans())
    assert SECRET not in stack.facade.log.read_text()
    assert trace.root.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/phenotype",
        "http.response.status_code": 200,
        "url.path": "/v1/phenotype",
        "url.scheme": "http",
        "thale.request_id": reply.request_id,
    }
    [header] = trace.named("thale.header")
    assert (header.attributes["thale.image.bytes"], header.attributes["thale.image.format"]) == (len(PLATE), "JPEG")


def test_from_a_request_s_id_its_log_leads_to_its_trace_and_says_which_versions_answered(stack: Stack) -> None:
    reply = stack.phenotype("?plate_width_mm=120", **{"X-Request-Id": "case-17"})
    trace = stack.trace_of(reply)
    lines = [line for line in stack.facade.lines() if line.get("request_id") == "case-17"]
    assert {line["trace_id"] for line in lines} == {trace.root.trace_id}
    [answered] = [line for line in lines if line["message"] == "request answered"]
    assert answered["span_id"] == trace.root.span_id
    assert answered["versions"] == {"plate-seg": "1.0.0", "plate-landmarks": "1.0.0"}


def test_workers_logs_are_json_lines_with_the_model_s_version(stack: Stack) -> None:
    log = (stack.record.parent / "logs" / "model_log.log").read_text()
    told = [json.loads(line[line.index("{") :]) for line in log.splitlines() if '"message": "model loaded"' in line]
    assert {(line["model"], line["version"]) for line in told} == set(MODELS)


def test_a_bad_image_is_seen_where_it_was_found_and_is_no_error_of_ours(stack: Stack) -> None:
    reply = stack.phenotype(body=PLATE[: len(PLATE) // 2])
    assert reply.status == 422
    trace = stack.trace_of(reply, lambda trace: bool(trace.named("thale.worker")))
    assert (trace.root.attributes["error.type"], trace.root.is_error) == ("damaged-image", False)
    [worker, *_] = trace.named("thale.worker")
    [decoding] = trace.named("decode", worker)
    assert decoding.attributes["error.type"] == "DamagedImageError"
    assert worker.attributes["http.response.status_code"] == 422
    assert not any(span.is_error for span in trace.spans)


def test_a_question_that_is_asked_again_is_seen_twice(stack: Stack) -> None:
    reply = stack.phenotype(f"?model=plate-seg@{NOWHERE}")
    assert reply.status == 503
    trace = stack.trace_of(reply)
    assert (trace.root.attributes["error.type"], trace.root.is_error) == ("model-unavailable", True)
    asked = [span for span in trace.named("thale.model") if span.attributes["thale.model"] == "plate-seg"]
    assert [span.attributes.get("http.request.resend_count", 0) for span in asked] == [0, 1]
    assert all(span.is_error and span.attributes["thale.why"] == "pinned" for span in asked)


def test_a_canary_that_does_not_answer_shows_who_did_and_why_until_its_breaker_opens(stack: Stack) -> None:
    stack.release(canary=NOWHERE, weight_percent=100.0)
    replies = [stack.phenotype("?plate_width_mm=120") for _ in range(6)]
    stack.release()
    assert {reply.status for reply in replies} == {200}
    first, opening, refused = (stack.trace_of(replies[index], whole) for index in (0, 4, 5))
    [fallback] = first.named("thale.fallback")
    said = {"thale.why": "fallback", "thale.reason": "unavailable", "thale.instead_of": NOWHERE}
    assert said.items() <= fallback.attributes.items()
    canary, stable = (span for span in first.named("thale.model") if span.attributes["thale.model"] == "plate-seg")
    assert (canary.attributes["thale.why"], canary.is_error) == ("canary", True)
    assert (stable.attributes["thale.version"], first.parent(stable)) == ("1.0.0", fallback)
    assert [event.name for span in opening.spans for event in span.events] == ["breaker opened"]
    assert refused.named("thale.fallback")[0].attributes["thale.reason"] == "open"
    assert not first.root.is_error


def test_each_image_of_a_batch_is_seen(stack: Stack) -> None:
    image = base64.b64encode(PLATE).decode()
    inputs = [{"name": "image", "shape": [2], "datatype": "BYTES", "data": [image, image]}]
    body = json.dumps({"inputs": inputs}).encode()
    reply = stack.facade.ask("POST", "/v2/models/plate-seg/versions/1.0.0/infer", body)
    assert reply.status == 200
    trace = stack.trace_of(reply, whole)
    assert trace.root.name == "POST /v2/models/{name}/versions/{version}/infer"
    assert [choice.attributes["thale.why"] for choice in trace.named("thale.choose")] == ["pinned"]
    assert len(trace.named("thale.header")) == len(trace.named("thale.worker")) == 2


def test_a_shadow_s_trace_is_linked_to_the_request_s_and_no_part_of_it(stack: Stack) -> None:
    stack.release(shadow="1.1.0")
    reply = stack.phenotype("?plate_width_mm=120")
    stack.release()
    trace = stack.trace_of(reply, whole)
    assert not trace.named("thale.shadow")

    def shadowed(spans: list[Span]) -> list[Span]:
        origin = (trace.root.trace_id, trace.root.span_id)
        begun = [span for span in spans if span.name == "thale.shadow" and origin in span.links]
        return [span for span in spans if begun and span.trace_id == begun[0].trace_id]

    spans = stack.collector.wait_for(lambda spans: any(span.name == "encode" for span in shadowed(spans)))
    copy = Trace(trace.root, shadowed(spans))
    [root] = [span for span in copy.spans if not span.parent_id]
    assert (root.name, root.attributes["thale.version"]) == ("thale.shadow", "1.1.0")
    assert copy.path(copy.named("encode")[0]) == "thale.shadow > thale.model > thale.worker > encode"


def test_who_watches_the_pods_leaves_no_traces(stack: Stack) -> None:
    for path in ("/health/live", "/health/ready", "/v2/health/ready"):
        stack.facade.ask("GET", path)
    stack.trace_of(stack.facade.ask("GET", "/v1/models"))
    assert not any("health" in str(span.attributes.get("url.path")) for span in stack.collector.spans())
