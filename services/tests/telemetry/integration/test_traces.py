"""Traces of a real facade and a real TorchServe, received by a collector."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import sample_images
from tests.support.facade_process import FacadeProcess, ProcessReply, facade_process
from tests.support.otlp_receiver import Collector, Span, running_collector
from tests.support.tiny_models import write_tiny_model
from tests.support.torchserve_process import TorchServeProcess, run_torchserve
from thale.facade.settings import FacadeSettings
from thale.host.files import write_atomically
from thale.release.registry.archive_validation import validate_archive
from thale.schemas import Release, ReleaseState, Task, VersionManifest
from thale.telemetry.tracing import ATTRIBUTES
from thale_models.archive import write_archive

pytestmark = pytest.mark.integration

PLATE = sample_images.jpeg()
MODELS: dict[tuple[str, str], Task] = {
    ("plate-seg", "1.0.0"): "segmentation",
    ("plate-seg", "1.1.0"): "segmentation",
    ("plate-landmarks", "1.0.0"): "landmarks",
}
UNLOADED_VERSION = "1.2.0"
"""A released version of plate-seg that is not loaded in the model server."""
CALLER = ("a" * 32, "b" * 16)
SECRET = "anna"
"""Part of every user input in the requests. No span and no log line may contain it."""


@dataclass
class Stack:
    facade: FacadeProcess
    torchserve: TorchServeProcess
    collector: Collector
    state_path: Path
    base_state: ReleaseState

    def phenotype(self, query: str = "", body: bytes = PLATE, **headers: str) -> ProcessReply:
        return self.facade.request("POST", f"/v1/phenotype{query}", body, headers)

    def release(self, **fields: object) -> None:
        """Change the release of plate-seg, and wait until the facade has loaded it."""
        release = self.base_state.models["plate-seg"].model_copy(update=fields)
        release_state = ReleaseState(models={**self.base_state.models, "plate-seg": release})
        reload_count = self.count_state_reloads()
        write_atomically(self.state_path, release_state.model_dump_json().encode())
        while self.count_state_reloads() == reload_count:
            self.facade.request("GET", "/v1/models")

    def count_state_reloads(self) -> int:
        return sum(line["message"] == "release state loaded" for line in self.facade.log_lines())

    def wait_for_trace(self, reply: ProcessReply, condition: Callable[["Trace"], bool] = lambda trace: True) -> "Trace":
        """Return the trace of a request as soon as the request's span was received and the condition holds."""

        def find_trace(spans: list[Span]) -> "Trace | None":
            roots = [span for span in spans if span.attributes.get("thale.request_id") == reply.request_id]
            if not roots:
                return None
            trace = Trace(roots[0], [span for span in spans if span.trace_id == roots[0].trace_id])
            return trace if condition(trace) else None

        trace = find_trace(self.collector.wait_for(lambda spans: find_trace(spans) is not None))
        assert trace is not None
        return trace


@dataclass
class Trace:
    root: Span
    spans: list[Span]

    def spans_named(self, name: str, parent: Span | None = None) -> list[Span]:
        """Return the spans of that name, optionally of one parent, in the order of their start."""
        spans = [span for span in self.spans if span.name == name and parent in (None, self.parent(span))]
        return sorted(spans, key=lambda span: span.start_ns)

    def parent(self, span: Span) -> Span | None:
        return next((other for other in self.spans if other.span_id == span.parent_id), None)

    def path(self, span: Span) -> str:
        """Return the names on the path from the root span to this one."""
        parent = self.parent(span)
        return span.name if parent is None else f"{self.path(parent)} > {span.name}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home, patch = tmp_path_factory.mktemp("ts"), pytest.MonkeyPatch()
    archives = []
    for seed, ((name, version), task) in enumerate(MODELS.items()):
        model = write_tiny_model(tmp_path_factory.mktemp(name), task, seed, name=name, version=version)
        archives.append(write_archive(model.weights, model.card, home / "store").name)
    state_path = home / "release-state.json"
    base_state = make_release_state(home / "store")
    state_path.write_text(base_state.model_dump_json())
    with running_collector() as (url, collector), patch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        environment.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        with (
            run_torchserve(home, archives) as torchserve,
            facade_process(
                home / "facade.log", **settings(state_path, torchserve), THALE_SHADOW_DUTY_CYCLE="1"
            ) as facade,
        ):
            yield Stack(facade, torchserve, collector, state_path, base_state)


def make_release_state(store: Path) -> ReleaseState:
    models = {}
    for name, task in (("plate-seg", "segmentation"), ("plate-landmarks", "landmarks")):
        archives = [validate_archive(store / f"{name}-{version}.mar") for model, version in MODELS if model == name]
        versions = {one.card.version: VersionManifest(digest=one.digest, card=one.card) for one in archives}
        models[name] = Release(task=task, stable="1.0.0", versions=versions)
    unloaded = models["plate-seg"].versions["1.0.0"]
    unloaded = unloaded.model_copy(update={"card": unloaded.card.model_copy(update={"version": UNLOADED_VERSION})})
    models["plate-seg"] = models["plate-seg"].model_copy(
        update={"versions": {**models["plate-seg"].versions, UNLOADED_VERSION: unloaded}}
    )
    return ReleaseState(models=models)


def settings(state_path: Path, torchserve: TorchServeProcess) -> dict[str, str]:
    return {
        "THALE_RELEASE_STATE_PATH": str(state_path),
        "THALE_MODEL_URL": f"http://127.0.0.1:{torchserve.inference_port}",
        "THALE_MANAGEMENT_URL": f"http://127.0.0.1:{torchserve.management_port}",
        "THALE_POSTPROCESS_WORKERS": "1",
    }


def is_complete(trace: Trace) -> bool:
    return len(trace.spans_named("encode")) == 2


def test_request_is_one_trace_through_all_processes(stack: Stack) -> None:
    reply = stack.phenotype("?plate_width_mm=120", traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01")
    assert reply.status == 200
    trace = stack.wait_for_trace(reply, is_complete)
    assert (trace.root.name, trace.root.kind) == ("POST /v1/phenotype", "server")
    assert (trace.root.trace_id, trace.root.parent_id) == CALLER
    facade_paths = [trace.path(span) for span in trace.spans if span.service == "thale-facade"]
    assert sorted(facade_paths) == sorted(
        [
            "POST /v1/phenotype",
            "POST /v1/phenotype > thale.body",
            "POST /v1/phenotype > thale.header",
            *["POST /v1/phenotype > thale.route"] * 2,
            "POST /v1/phenotype > thale.wait",
            "POST /v1/phenotype > thale.predict",
            *["POST /v1/phenotype > thale.predict > thale.model"] * 2,
            "POST /v1/phenotype > thale.postprocess",
            "POST /v1/phenotype > thale.postprocess > thale.read",
            "POST /v1/phenotype > thale.postprocess > thale.plants",
            "POST /v1/phenotype > thale.postprocess > thale.features",
            "POST /v1/phenotype > thale.postprocess > thale.traits",
            "POST /v1/phenotype > thale.postprocess > thale.quality",
            "POST /v1/phenotype > thale.postprocess > thale.export",
        ]
    )
    for model_span in trace.spans_named("thale.model"):
        assert (model_span.kind, model_span.attributes["thale.role"]) == ("client", "stable")
        [worker] = trace.spans_named("thale.worker", model_span)
        assert (worker.kind, worker.service) == ("server", "thale-models")
        assert worker.resource["thale.model"] == model_span.attributes["thale.model"]
        assert worker.resource["thale.version"] == model_span.attributes["thale.version"]
        steps = sorted((span for span in trace.spans if trace.parent(span) == worker), key=lambda span: span.start_ns)
        assert list(dict.fromkeys(step.name for step in steps)) == ["decode", "transform", "inference", "encode"]
        assert model_span.start_ns <= worker.start_ns <= steps[0].start_ns
        assert steps[-1].end_ns <= worker.end_ns <= model_span.end_ns
    assert not any(span.is_error or "error.type" in span.attributes for span in trace.spans)


def test_spans_and_logs_contain_no_user_input(stack: Stack) -> None:
    reply = stack.phenotype(f"?plate_width_mm=120&name={SECRET}.jpg&experiment={SECRET}")
    assert reply.status == 200
    rejection = stack.phenotype(f"?model={SECRET}")
    unknown_path = stack.facade.request("GET", f"/{SECRET}/{SECRET}.jpg")
    assert (rejection.status, unknown_path.status) == (404, 404)
    trace = stack.wait_for_trace(reply, is_complete)
    assert (stack.wait_for_trace(rejection).root.name, stack.wait_for_trace(unknown_path).root.name) == (
        "POST /v1/phenotype",
        "GET",
    )
    attributes = {name: value for span in stack.collector.spans() for name, value in span.attributes.items()}
    assert set(attributes) <= set(ATTRIBUTES)
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
    [header] = trace.spans_named("thale.header")
    assert (header.attributes["thale.image.bytes"], header.attributes["thale.image.format"]) == (len(PLATE), "JPEG")


def test_request_id_leads_to_log_lines_trace_and_versions(stack: Stack) -> None:
    reply = stack.phenotype("?plate_width_mm=120", **{"X-Request-Id": "case-17"})
    trace = stack.wait_for_trace(reply)
    lines = [line for line in stack.facade.log_lines() if line.get("request_id") == "case-17"]
    assert {line["trace_id"] for line in lines} == {trace.root.trace_id}
    [served_line] = [line for line in lines if line["message"] == "request served"]
    assert served_line["span_id"] == trace.root.span_id
    assert served_line["versions"] == {"plate-seg": "1.0.0", "plate-landmarks": "1.0.0"}


def test_worker_logs_are_json_lines_with_model_and_version(stack: Stack) -> None:
    log = (stack.state_path.parent / "logs" / "model_log.log").read_text()
    records = [json.loads(line[line.index("{") :]) for line in log.splitlines() if '"message": "model loaded"' in line]
    assert {(line["model"], line["version"]) for line in records} == set(MODELS)


def test_damaged_image_marks_the_decode_span_but_sets_no_error(stack: Stack) -> None:
    reply = stack.phenotype(body=PLATE[: len(PLATE) // 2])
    assert reply.status == 422
    trace = stack.wait_for_trace(reply, lambda trace: bool(trace.spans_named("thale.worker")))
    assert (trace.root.attributes["error.type"], trace.root.is_error) == ("damaged-image", False)
    [worker, *_] = trace.spans_named("thale.worker")
    [decoding] = trace.spans_named("decode", worker)
    assert decoding.attributes["error.type"] == "DamagedImageError"
    assert worker.attributes["http.response.status_code"] == 422
    assert not any(span.is_error for span in trace.spans)


def test_retry_has_a_span_of_its_own(stack: Stack) -> None:
    reply = stack.phenotype(f"?model=plate-seg@{UNLOADED_VERSION}")
    assert reply.status == 503
    trace = stack.wait_for_trace(reply)
    assert (trace.root.attributes["error.type"], trace.root.is_error) == ("model-unavailable", True)
    model_spans = [span for span in trace.spans_named("thale.model") if span.attributes["thale.model"] == "plate-seg"]
    assert [span.attributes.get("http.request.resend_count", 0) for span in model_spans] == [0, 1]
    assert all(span.is_error and span.attributes["thale.role"] == "pinned" for span in model_spans)


def test_fallback_span_has_reason_until_the_breaker_opens(stack: Stack) -> None:
    stack.release(canary=UNLOADED_VERSION, weight_percent=100.0)
    failures = FacadeSettings.model_fields["canary_breaker_failures"].default
    replies = [stack.phenotype("?plate_width_mm=120") for _ in range(failures + 1)]
    stack.release()
    assert {reply.status for reply in replies} == {200}
    first, opening, rejection = (
        stack.wait_for_trace(replies[index], is_complete) for index in (0, failures - 1, failures)
    )
    [fallback] = first.spans_named("thale.fallback")
    expected = {"thale.role": "fallback", "thale.reason": "unavailable", "thale.fallback_for": UNLOADED_VERSION}
    assert expected.items() <= fallback.attributes.items()
    canary, stable = (
        span for span in first.spans_named("thale.model") if span.attributes["thale.model"] == "plate-seg"
    )
    assert (canary.attributes["thale.role"], canary.is_error) == ("canary", True)
    assert (stable.attributes["thale.version"], first.parent(stable)) == ("1.0.0", fallback)
    assert [event.name for span in opening.spans for event in span.events] == ["circuit breaker opened"]
    assert rejection.spans_named("thale.fallback")[0].attributes["thale.reason"] == "open"
    assert not first.root.is_error


def test_batch_request_has_spans_for_each_image(stack: Stack) -> None:
    image = base64.b64encode(PLATE).decode()
    inputs = [{"name": "image", "shape": [2], "datatype": "BYTES", "data": [image, image]}]
    body = json.dumps({"inputs": inputs}).encode()
    reply = stack.facade.request("POST", "/v2/models/plate-seg/versions/1.0.0/infer", body)
    assert reply.status == 200
    trace = stack.wait_for_trace(reply, is_complete)
    assert trace.root.name == "POST /v2/models/{name}/versions/{version}/infer"
    assert [span.attributes["thale.role"] for span in trace.spans_named("thale.route")] == ["pinned"]
    assert len(trace.spans_named("thale.header")) == len(trace.spans_named("thale.worker")) == 2


def test_shadow_trace_is_linked_to_the_request_trace(stack: Stack) -> None:
    stack.release(shadow="1.1.0")
    reply = stack.phenotype("?plate_width_mm=120")
    stack.release()
    trace = stack.wait_for_trace(reply, is_complete)
    assert not trace.spans_named("thale.shadow")

    def shadow_spans(spans: list[Span]) -> list[Span]:
        parent_context = (trace.root.trace_id, trace.root.span_id)
        shadow_roots = [span for span in spans if span.name == "thale.shadow" and parent_context in span.links]
        return [span for span in spans if shadow_roots and span.trace_id == shadow_roots[0].trace_id]

    spans = stack.collector.wait_for(lambda spans: any(span.name == "encode" for span in shadow_spans(spans)))
    shadow_trace = Trace(trace.root, shadow_spans(spans))
    [root] = [span for span in shadow_trace.spans if not span.parent_id]
    assert (root.name, root.attributes["thale.version"]) == ("thale.shadow", "1.1.0")
    assert (
        shadow_trace.path(shadow_trace.spans_named("encode")[0]) == "thale.shadow > thale.model > thale.worker > encode"
    )


def test_health_checks_create_no_traces(stack: Stack) -> None:
    for path in ("/health/live", "/health/ready", "/v2/health/ready"):
        stack.facade.request("GET", path)
    stack.wait_for_trace(stack.facade.request("GET", "/v1/models"))
    assert not any("health" in str(span.attributes.get("url.path")) for span in stack.collector.spans())
