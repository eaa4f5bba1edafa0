"""Tests of the exposed metrics after valid and hostile requests: only declared series, within their bounds."""

import os
import random
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.support import sample_images
from tests.support.torchserve_process import TorchServeProcess, free_ports
from thale import errors
from thale.facade.api.problems import PROBLEM_SPECS
from thale.facade.app import create_app
from thale.facade.settings import FacadeSettings
from thale.release.controller.metrics_scraper import parse_metrics
from thale.telemetry import external_metrics, metric_table, metrics
from thale.telemetry.labels import CODE, ROUTE, STATUS

pytestmark = pytest.mark.integration

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
UNREACHABLE_URL = "http://127.0.0.1:9"


@dataclass(frozen=True)
class MeteredFacade:
    """A facade in a separate process, so that its metrics registry is separate as well."""

    port: int
    metrics_port: int

    def request(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        request_headers = {
            "Content-Type": "application/octet-stream",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, body, request_headers, method=method), timeout=120
            ) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def fetch_page(self, path: str = "/metrics", accept: str = "*/*") -> tuple[str, str]:
        """Return the media type and the text of a page of the metrics port."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.metrics_port}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.headers["content-type"], response.read().decode()

    def families(self) -> dict[str, Metric]:
        return {family.name: family for family in read_text(self.fetch_page()[1])}


@pytest.fixture(scope="module")
def process(settings: FacadeSettings, torchserve: TorchServeProcess) -> Iterator[MeteredFacade]:
    facade = MeteredFacade(*free_ports(2))
    variables = {
        "THALE_RELEASE_STATE_PATH": str(settings.release_state_path),
        "THALE_PORT": str(facade.port),
        "THALE_METRICS_PORT": str(facade.metrics_port),
        "THALE_MODEL_URL": settings.model_url,
        "THALE_MANAGEMENT_URL": settings.management_url,
        "THALE_POSTPROCESS_WORKERS": "1",
        "THALE_COST_PER_HOUR": "0.19",
        "THALE_CURRENCY": "EUR",
        "THALE_COMMIT": "8333959",
        "OTEL_EXPORTER_OTLP_ENDPOINT": UNREACHABLE_URL,
    }
    command = [sys.executable, "-m", "thale.facade"]
    server = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(facade)
        send_valid_requests(facade)
        send_hostile_requests(facade)
        yield facade
    finally:
        server.terminate()
        server.wait(60)


def wait_until_ready(process: MeteredFacade) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            if process.request("/health/ready") == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the facade did not become ready")


def send_valid_requests(process: MeteredFacade) -> None:
    image = sample_images.png()
    assert process.request("/v1/phenotype?mm_per_px=0.25", image) == 200
    assert process.request("/v1/segment?mm_per_px=0.25&model=plate-seg@1.0.0", image) == 200
    assert process.request("/v1/landmarks?mm_per_px=0.25", image, Accept="application/json") == 200
    assert process.request("/v1/phenotype", image[:300]) in (400, 415, 422)
    assert process.request("/v1/models") == 200


def send_hostile_requests(process: MeteredFacade) -> None:
    rng = random.Random(0)  # the same random words in every run

    def random_word() -> str:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12))

    for _ in range(20):
        for path in (
            f"/{random_word()}/{random_word()}",
            f"/v1/models/{random_word()}",
            f"/problems/{random_word()}",
            f"/v2/models/{random_word()}/versions/{random_word()}/ready",
            f"/v2/models/plate-seg/versions/{random_word()}",
            f"/v1/phenotype/{random_word()}",
            f"/health/{random_word()}",
        ):
            process.request(path, X_Request_Id=random_word(), traceparent=random_word(), User_Agent=random_word())
        process.request(f"/v1/phenotype?model={random_word()}", sample_images.png())
        process.request(f"/v1/phenotype?model=plate-seg@{random_word()}", sample_images.png())
        process.request(f"/v1/segment?{random_word()}={random_word()}", sample_images.png())
        process.request(f"/v2/models/{random_word()}/infer", b"{}")
        process.request("/v1/phenotype", random_word().encode(), Content_Type=f"{random_word()}/{random_word()}")
        process.request("/v1/phenotype", method=random_word().upper())


def test_every_series_is_declared_with_type_help_and_labels(process: MeteredFacade) -> None:
    declared = {metric.name: metric for metric in metrics.METRICS}
    exposed_families = {name: family for name, family in process.families().items() if name.startswith("thale_")}
    assert exposed_families.keys() == declared.keys()
    for name, family in exposed_families.items():
        metric = declared[name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        names = {label.name for label in metric.labels}
        for sample in family.samples:
            assert sample.name in metric.series_names
            assert sample.labels.keys() - {"le"} == names, sample.name


@pytest.mark.parametrize("metric", [*metrics.METRICS], ids=lambda metric: metric.name)
def test_label_values_stay_within_their_bound(metric: metric_table.Metric, process: MeteredFacade) -> None:
    family = process.families()[metric.name]
    values: defaultdict[str, set[str]] = defaultdict(set)
    for sample in family.samples:
        for name, value in sample.labels.items():
            values[name].add(value)
    for label in metric.labels:
        assert len(values[label.name]) <= label.max_values
        if label.values:
            assert values[label.name] <= {*label.values}
    assert len(family.samples) <= metric.max_series * (len(metric.buckets) + 3)


def test_label_values_are_released_versions_and_templates(process: MeteredFacade) -> None:
    label_values: defaultdict[str, set[str]] = defaultdict(set)
    for name, family in process.families().items():
        for sample in family.samples if name.startswith("thale_") and name != "thale_build_info" else ():
            for label, value in sample.labels.items():
                label_values[label].add(value)
    assert (label_values["model"], label_values["version"]) == ({"plate-seg", "plate-landmarks"}, {"1.0.0"})
    assert "unknown" in label_values["route"]
    assert all(re.fullmatch(r"unknown|(/(v[12]|[a-z]+|\{[a-z]+\}))+|/", route) for route in label_values["route"])
    assert sum(len(family.samples) for family in process.families().values()) < 1500


def test_failure_counters_are_initialised_to_zero(process: MeteredFacade) -> None:
    counts = {
        sample.labels["status"]: sample.value
        for sample in process.families()["thale_facade_requests"].samples
        if sample.name.endswith("_total") and sample.labels["route"] == "/v2/models/{name}/versions/{version}/infer"
    }
    assert counts == {"500": 0, "502": 0, "503": 0, "504": 0}


def test_routes_statuses_and_codes_stay_within_label_bounds(settings: FacadeSettings) -> None:
    routes = {getattr(route, "path", "") for route in create_app(settings).routes} | {"unknown"}
    statuses = {row.status for row in PROBLEM_SPECS.values()} | {200, 304, 307, 405, 499}
    kinds = [errors.ThaleError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(routes) <= ROUTE.max_values
    assert len(statuses) <= STATUS.max_values
    assert len({*kinds}) + len({"about:blank"}) <= CODE.max_values


def test_latency_has_the_size_class_of_the_image(process: MeteredFacade) -> None:
    counts = {
        (sample.labels["route"], sample.labels["size"]): sample.value
        for sample in process.families()["thale_facade_request_duration_seconds"].samples
        if sample.name.endswith("_count")
    }
    assert counts["/v1/segment", "1mp"] == 1
    assert counts["/v1/models", "none"] == 1
    assert counts["/v1/phenotype", "none"] > 20  # requests rejected before their image header is parsed


def test_stage_durations_sum_to_the_request_duration(process: MeteredFacade) -> None:
    families = process.families()

    def sums(name: str, **labels: str) -> dict[str, float]:
        return {
            sample.labels.get("stage", ""): sample.value
            for sample in families[name].samples
            if sample.name.endswith("_sum") and labels.items() <= sample.labels.items()
        }

    stage_sums = sums("thale_model_stage_duration_seconds", model="plate-seg")
    assert stage_sums.keys() == {"queue", "decode", "transform", "inference", "encode"}
    [total_s] = sums("thale_model_request_duration_seconds", model="plate-seg").values()
    assert sum(stage_sums.values()) == pytest.approx(total_s, rel=0.05)
    assert all(seconds > 0 for seconds in sums("thale_facade_stage_duration_seconds").values())


def test_build_info_and_cost_are_exposed(process: MeteredFacade) -> None:
    text = process.fetch_page()[1]
    assert 'thale_build_info{commit="8333959",' in text
    assert 'thale_cost_per_hour{currency="EUR"} 0.19' in text
    assert "_created" not in text


def test_exemplars_are_exposed_in_openmetrics(process: MeteredFacade) -> None:
    media_type, text = process.fetch_page(accept=OPENMETRICS)
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in read_openmetrics(text)}
    for name in ("thale_facade_request_duration_seconds", "thale_model_request_duration_seconds"):
        exemplars = [sample.exemplar for sample in families[name].samples if sample.exemplar is not None]
        assert exemplars
        assert all(re.fullmatch(r"[0-9a-f]{32}", exemplar.labels["trace_id"]) for exemplar in exemplars)
    units = {name: family.unit for name, family in families.items()}
    assert (units["thale_facade_request_duration_seconds"], units["thale_facade_image_megapixels"]) == (
        "seconds",
        "megapixels",
    )


def test_judge_reads_exactly_its_metrics(process: MeteredFacade) -> None:
    samples = parse_metrics(process.fetch_page()[1])
    assert samples.started_at > 0
    names = {name for name, _ in samples.values}
    assert {
        "thale_model_requests_total",
        "thale_model_request_duration_seconds_bucket",
        "thale_output_plates_total",
    } <= names
    assert names.isdisjoint({"thale_model_stage_duration_seconds_bucket", "thale_model_batch_images_bucket"})


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "POST", 405), ("/metrics/x", "GET", 404), ("/../etc/passwd", "GET", 404), ("/", "HEAD", 200)],
)
def test_metrics_port_serves_two_pages_read_only(process: MeteredFacade, path: str, method: str, status: int) -> None:
    assert MeteredFacade(process.metrics_port, 0).request(path, b"" if method == "POST" else None, method) == status


def test_status_page_is_served_without_caching(process: MeteredFacade) -> None:
    media_type, text = process.fetch_page("/")
    assert media_type == "text/html; charset=utf-8"
    assert "plate-seg" in text
    assert "EUR" in text


def metric_names(samples: Sequence[str]) -> set[str]:
    return {sample.partition("{")[0] for sample in samples}


def test_torchserve_creates_no_series_of_unknown_models(process: MeteredFacade, torchserve: TorchServeProcess) -> None:
    before = torchserve.metrics()
    for number in range(20):
        torchserve.post(f"/predictions/unregistered-{number}/{number}.0.0", b"x")
        torchserve.post(f"/predictions/plate-seg/{number}.9.9", b"x")
    after = torchserve.metrics()
    assert "unregistered" not in after
    assert ".9.9" not in after
    exposed_names = metric_names([line for line in after.splitlines() if line and not line.startswith("#")])
    assert exposed_names >= metric_names([line for line in before.splitlines() if line and not line.startswith("#")])
    declared = {
        external_metric.name
        for external_metric in external_metrics.EXTERNAL_METRICS
        if external_metric.exporter == "TorchServe"
    }
    assert exposed_names <= declared
