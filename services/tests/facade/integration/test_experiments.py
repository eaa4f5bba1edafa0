"""Experiments of a running facade: images, cache, tables, measurements, reproduction, and a store that is down."""

import csv
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support import sample_images
from tests.support.running_facade import Facade, Reply, running_facade
from thale.cli.app import app
from thale.client import Client
from thale.errors import UnknownExperimentError
from thale.facade.experiments.table_file import PARQUET, XLSX
from thale.facade.settings import FacadeSettings
from thale.telemetry import metrics

pytestmark = pytest.mark.integration
JSON = {"Content_Type": "application/json"}


def create(facade: Facade) -> str:
    """Create an experiment and return its id."""
    body = json.dumps({"name": f"experiment {uuid.uuid4().hex}"}).encode()
    reply = facade.post("/v1/experiments", body, **JSON)
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def add(facade: Facade, experiment: str, image: bytes, query: str = "mm_per_px=0.25&name=plate_1.png") -> Reply:
    return facade.post(f"/v1/experiments/{experiment}/images", image, query)


def cache_hits() -> float:
    value: float = metrics.PREDICTION_CACHE.labels("hit")._value.get()
    return value


def test_image_is_measured_once_and_stored(facade: Facade) -> None:
    experiment = create(facade)
    plain = facade.phenotype(sample_images.png(), "mm_per_px=0.25&name=plate_1.png").json
    first = add(facade, experiment, sample_images.png())
    assert first.status == 200, first.body
    assert (first.json["is_new"], first.json["from_cache"], first.json["plate"]) == (True, False, "plate_1")
    assert first.json["phenotype"]["plants"] == plain["plants"]
    hits = cache_hits()
    second = add(facade, experiment, sample_images.png())
    assert (second.json["is_new"], second.json["from_cache"]) == (False, True)
    assert cache_hits() == hits + 1
    assert second.json["measurement_id"] == first.json["measurement_id"]
    assert second.json["phenotype"] == first.json["phenotype"]
    other = add(facade, experiment, sample_images.png(), "mm_per_px=0.5&rotate=90&name=plate_1.png")
    assert other.json["measurement_id"] != first.json["measurement_id"]
    described = facade.get(f"/v1/experiments/{experiment}").json
    assert (described["images"], described["measured"]) == (1, 1)
    measurements = facade.get(f"/v1/experiments/{experiment}/measurements").json["items"]
    assert [item["is_current"] for item in measurements] == [False, True]


def test_image_bytes_are_returned_while_an_experiment_has_them(facade: Facade) -> None:
    experiment, other = create(facade), create(facade)
    data = sample_images.encode(Image.fromarray(sample_images.seedlings(150)), "PNG")
    added = add(facade, experiment, data, "mm_per_px=0.25&name=Tag%202%2Fgr%C3%B6%C3%9Fer%22%0A.png").json
    path = f"/v1/experiments/{experiment}/images/{added['sha256']}"
    reply = facade.get(path)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, data, "image/png")
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fer%22.png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["etag"] == f'"{added["sha256"]}"'
    known = facade.get(path, If_None_Match=f'W/"0", {reply.headers["etag"]}')
    assert (known.status, known.body) == (304, b"")
    head = facade.request("HEAD", path, b"")
    assert (head.status, head.headers["content-length"]) == (200, str(len(data)))
    assert facade.get(path.replace(experiment, other)).problem == "unknown-image"
    assert facade.request("DELETE", f"/v1/experiments/{experiment}", b"").status == 200
    assert facade.get(path, If_None_Match=reply.headers["etag"]).status == 404


def test_refused_image_stores_nothing(facade: Facade) -> None:
    experiment = create(facade)
    for image, query, status in [(b"GIF89a" + bytes(60), "", 415), (sample_images.png(), "model=none", 404)]:
        assert add(facade, experiment, image, query).status == status
        assert add(facade, experiment, image, f"{query}&mm_per_pixel=1").problem == "parameter"
    assert facade.get(f"/v1/experiments/{experiment}/images").json["items"] == []
    assert add(facade, "none", sample_images.png()).problem == "unknown-experiment"


def test_measurement_has_a_permanent_link(facade: Facade) -> None:
    experiment = create(facade)
    added = add(facade, experiment, sample_images.png()).json
    path = f"/v1/measurements/{added['measurement_id']}"
    reply = facade.get(path)
    assert reply.json["phenotype"]["plants"] == added["phenotype"]["plants"]
    assert reply.json["parameters"]["mm_per_px"] == 0.25
    not_modified = facade.get(path, If_None_Match=reply.headers["etag"])
    assert (not_modified.status, not_modified.body) == (304, b"")
    assert facade.get("/v1/measurements/m-none").problem == "unknown-measurement"


def test_measurement_is_reproduced(facade: Facade) -> None:
    experiment = create(facade)
    added = add(facade, experiment, sample_images.jpeg()).json
    reply = facade.post(f"/v1/measurements/{added['measurement_id']}/reproduce", b"")
    assert reply.status == 200, reply.body
    assert (reply.json["is_identical"], reply.json["same_models"], reply.json["differences"]) == (True, True, [])
    assert reply.json["values"] > 0


def test_correction_is_recorded_with_its_caller(facade: Facade) -> None:
    added = add(facade, create(facade), sample_images.png()).json
    path = f"/v1/measurements/{added['measurement_id']}/corrections"
    body = {"reason": "a missing plant", "plants": [{"id": 9, "roots": [{"id": "9", "points": [[1, 1], [2, 9]]}]}]}
    for invalid in ({**body, "reason": ""}, {**body, "plants": body["plants"] * 2}, {"reason": "x"}):
        assert facade.post(path, json.dumps(invalid).encode(), **JSON).problem == "parameter"
    reply = facade.post(path, json.dumps(body).encode(), **JSON)
    assert (reply.status, reply.json["created_by"], reply.json["reason"]) == (200, "local", body["reason"])
    assert facade.get(path).json == {"items": [reply.json]}


def test_table_joins_the_design(facade: Facade) -> None:
    experiment = create(facade)
    added = add(facade, experiment, sample_images.png()).json
    design = f"/v1/experiments/{experiment}/design"
    reply = facade.request(
        "PUT", design, b"plate;genotype;dose\nplate_1;col-0;007\nplate_2;ler;1\n", Content_Type="text/csv"
    )
    assert (reply.status, reply.json["unmatched_rows"], reply.json["images_without_row"]) == (200, 1, 0), reply.body
    table = f"/v1/experiments/{experiment}/table"
    rows = list(csv.DictReader(io.StringIO(facade.get(table).body.decode())))
    assert len(rows) == max(1, len(added["phenotype"]["plants"]))
    assert {(row["genotype"], row["dose"], row["measurement_id"]) for row in rows} == {
        ("col-0", "007", added["measurement_id"])
    }
    parquet = facade.get(f"{table}?form=long", Accept=PARQUET)
    assert parquet.headers["content-type"] == PARQUET
    assert "genotype" in pyarrow.parquet.read_table(io.BytesIO(parquet.body)).column_names
    assert facade.get(table, Accept=XLSX).body[:2] == b"PK"
    assert facade.get(table, Accept="image/png").problem == "not-acceptable"
    bad = facade.request("PUT", design, b"genotype\ncol-0\n", Content_Type="text/csv")
    assert bad.problem == "design-table"
    assert facade.get(design).json == reply.json


def test_deletion_removes_images_and_measurements(facade: Facade) -> None:
    experiment = create(facade)
    image = sample_images.encode(Image.fromarray(sample_images.seedlings(199, 239)), "PNG")
    added = add(facade, experiment, image).json
    reply = facade.request("DELETE", f"/v1/experiments/{experiment}")
    assert reply.json == {"id": experiment, "images": 1}
    assert facade.get(f"/v1/measurements/{added['measurement_id']}").problem == "unknown-measurement"
    assert facade.get(f"/v1/experiments/{experiment}").problem == "unknown-experiment"


def test_names_and_pages(facade: Facade) -> None:
    name = f"Salt {uuid.uuid4().hex}"
    body = json.dumps({"name": name, "description": "NaCl"}).encode()
    created = facade.post("/v1/experiments", body, **JSON).json
    assert facade.get(f"/v1/experiments/{name.replace(' ', '%20')}").json == created
    assert facade.post("/v1/experiments", body, **JSON).problem == "experiment-exists"
    page = facade.get("/v1/experiments?limit=1").json
    assert len(page["items"]) == 1
    assert facade.get(f"/v1/experiments?limit=1&cursor={page['next_cursor']}".replace("+", "%2B")).status == 200
    assert facade.get(f"/v1/experiments/{created['id']}/images?cursor=x").problem == "parameter"


def job_events(facade: Facade, job: str) -> list[dict[str, Any]]:
    """Return all events of a job, in several streams if needed."""
    events: list[dict[str, Any]] = []
    for _ in range(30):
        last = str(events[-1]["id"]) if events else "0"
        text = facade.get(f"/v1/jobs/{job}/events", Last_Event_ID=last).body.decode()
        events += (json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: "))
        if events and events[-1]["type"] == "finished":
            return events
    raise AssertionError(f"the job did not finish: {events}")


def test_job_measures_stored_images(facade: Facade) -> None:
    experiment = create(facade)
    for image in (sample_images.png(), sample_images.jpeg()):
        added = add(facade, experiment, image, "measure=false").json
        assert (added["measurement_id"], added["phenotype"]) == (None, None)
    submitted = facade.post("/v1/jobs", json.dumps({"experiment": experiment, "mm_per_px": 0.25}).encode(), **JSON).json
    assert (submitted["state"], submitted["progress"]["total"]) == ("running", 2)
    events = job_events(facade, submitted["id"])
    assert [event["type"] for event in events] == ["submitted", "measured", "measured", "finished"]
    job = facade.get(f"/v1/jobs/{submitted['id']}").json
    assert (job["state"], job["progress"]["measured"]) == ("finished", 2)
    assert facade.get(f"/v1/experiments/{experiment}").json["measured"] == 2
    images = facade.get(f"/v1/jobs/{submitted['id']}/images?state=measured").json["items"]
    assert all(image["measurement_id"] for image in images)
    assert facade.post("/v1/jobs", json.dumps({"experiment": experiment}).encode(), **JSON).problem == "parameter"
    assert facade.get(f"/v1/jobs?experiment={experiment}").json["items"] == [job]


def test_facade_without_a_store_has_no_experiments(settings: FacadeSettings) -> None:
    with running_facade(settings.model_copy(update={"experiments_path": None})) as facade:
        for path in ("/v1/experiments", "/v1/jobs", "/v1/measurements/m-1", "/v1/experiments/a/table"):
            assert facade.get(path).problem == "experiments-disabled"
        assert facade.phenotype(sample_images.png()).status == 200


def test_unavailable_store_leaves_measurements_alone(settings: FacadeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    down = settings.model_copy(update={"experiments_path": tmp_path / "file" / "experiments"})
    with running_facade(down) as facade:
        reply = facade.get("/v1/experiments")
        assert (reply.status, reply.problem) == (503, "experiment-store")
        assert int(reply.headers["retry-after"]) > 0
        assert add(facade, "a", sample_images.png()).problem == "experiment-store"
        assert facade.phenotype(sample_images.png()).status == 200
        assert facade.get("/health/ready").status == 200
        (tmp_path / "file").unlink()
        assert facade.get("/v1/experiments").json["items"] == []


def test_commands_store_and_export_an_experiment(facade: Facade, tmp_path: Path) -> None:
    name, photographs = f"cli {uuid.uuid4().hex}", tmp_path / "photographs"
    photographs.mkdir()
    # Bytes that no other experiment has, so that the deletion removes them.
    (photographs / "plate_1.png").write_bytes(
        sample_images.encode(Image.fromarray(sample_images.seedlings(211, 223)), "PNG")
    )
    (photographs / "damaged.png").write_bytes(b"no image at all")
    (tmp_path / "design.csv").write_text("plate,genotype\nplate_1,col-0\n")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["experiment", *map(str, arguments), "--server", facade.url])

    assert run("create", name, "--design", tmp_path / "design.csv").exit_code == 0
    added = run("add", name, photographs, "--mm-per-px", 0.25)
    assert added.exit_code == 1
    assert "1 added, 0 on the server already, 1 failed" in added.output
    assert "1 on the server already" in run("add", name, photographs, "--mm-per-px", 0.25).output
    assert run("table", name, "--out", tmp_path / "table.csv").exit_code == 0
    assert "col-0" in (tmp_path / "table.csv").read_text()
    assert run("run", name, "--remeasure", "--mm-per-px", 0.25).exit_code == 0
    assert "exp-" in run("list").output
    assert f"{name} is kept until 2031-12-31" in run("retain", name, "--until", "2031-12-31").output
    assert "is kept until it is deleted" in run("retain", name).output
    assert run("retain", name, "--until", "tomorrow").exit_code == 2
    assert "1 images" in run("delete", name, "--yes").output
    with Client(facade.url) as client, pytest.raises(UnknownExperimentError):
        client.experiments.get(name)
