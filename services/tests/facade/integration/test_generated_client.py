"""A client that openapi-python-client generates from the document runs every operation of a running facade."""

import base64
import importlib
import inspect
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import sample_images, sample_phenotypes
from tests.support.corrections import traits_body
from tests.support.drawn_dishes import dish
from tests.support.drawn_series import daily_series
from tests.support.running_facade import Facade
from tests.support.sample_experiments import store_sample
from thale.facade.api import openapi_document
from thale.facade.settings import FacadeSettings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]
GENERATOR = ROOT / ".tools" / "openapi-client" / "bin" / "openapi-python-client"
DOCUMENT = Path(openapi_document.__file__).with_name("openapi.json")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Generate the client, and yield the name of its package."""
    if not GENERATOR.exists():
        pytest.skip(f"{GENERATOR} is not installed: make openapi-client")
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.json"
    config.write_text(json.dumps({"post_hooks": []}))
    command = (GENERATOR, "generate", "--path", DOCUMENT, "--output-path", folder / "thale_generated", "--meta", "none")
    run = subprocess.run([*command, "--config", config, "--fail-on-warning"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    sys.path.insert(0, str(folder))
    try:
        yield "thale_generated"
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "thale_generated"]:
            del sys.modules[name]


def operations(package: str) -> dict[str, ModuleType]:
    """Return the module of each operation by its name."""
    api = Path(importlib.import_module(f"{package}.api").__path__[0])
    return {
        path.stem: importlib.import_module(f"{package}.api.{path.parent.name}.{path.stem}")
        for path in api.glob("*/*.py")
        if path.stem != "__init__"
    }


def new_experiment() -> bytes:
    """Return the body of a request for an experiment, with a name that no other one has."""
    return json.dumps({"name": f"generated client {uuid.uuid4().hex}"}).encode()


def experiment_paths(facade: Facade, folder: Path) -> dict[str, str]:
    """Return the path parameters of a new experiment, with a measurement and a job of it."""
    json_type = {"Content_Type": "application/json"}
    experiment = facade.post("/v1/experiments", new_experiment(), **json_type).json["id"]
    added = facade.post(f"/v1/experiments/{experiment}/images", dish(), "mm_per_px=0.25&name=plate_1.png")
    body = json.dumps({"experiment": experiment, "remeasure": True, "priority": -10}).encode()
    job = facade.post("/v1/jobs", body, **json_type).json["id"]
    # A correction needs plants, which the dish lacks, and `reproduce` a readable image, which the sample lacks.
    measurement = store_sample(folder, experiment)
    plants = f"/brapi/v2/observations?studyDbId={experiment}&observationUnitLevelName=plant"
    observation = facade.get(plants).json["result"]["data"][0]
    return {
        "study": experiment,
        "unit": observation["observationUnitDbId"],
        "variable": observation["observationVariableDbId"],
        "observation": observation["observationDbId"],
        "image": f"{experiment}.1",
        "experiment": experiment,
        "sha256": added.json["sha256"],
        "measurement": measurement,
        "image_measurement": added.json["measurement_id"],
        "job": job,
    }


def test_generated_client_runs_every_operation(generated: str, facade: Facade, settings: FacadeSettings) -> None:
    assert settings.experiments_path is not None
    package, models = importlib.import_module(generated), importlib.import_module(f"{generated}.models")
    file_type = importlib.import_module(f"{generated}.types").File
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "data": [base64.b64encode(sample_images.png()).decode()],
    }
    photographs = [
        {"phenotype": json.loads(item.phenotype.model_dump_json())} for item in daily_series([[10.0], [15.0]])
    ]
    correction = traits_body(sample_phenotypes.phenotype(sample_phenotypes.seedling()))
    root = {"id": "1", "parent": None, "points": [[1.0, 2.0], [3.0, 4.0]]}
    bodies: dict[str, Any] = {
        "infer": lambda: models.InferRequest.from_dict({"inputs": [tensor]}),
        "follow": lambda: models.SeriesRequest.from_dict({"photographs": photographs}),
        "compute": lambda: models.TraitsRequest.from_dict(json.loads(correction)),
        "create_experiment": lambda: models.ExperimentRequest.from_dict(json.loads(new_experiment())),
        "update_experiment": lambda: models.ExperimentUpdate.from_dict({"retain_until": "2031-12-31"}),
        "submit_job": lambda: models.JobRequest(experiment=paths["experiment"], remeasure=True),
        "add_correction": lambda: models.CorrectionRequest.from_dict(
            {"reason": "test", "plants": [{"id": 1, "plate": 1, "checked": False, "roots": [root]}]}
        ),
        "put_design": lambda: [models.PutDesignBodyItem.from_dict({"plate": "plate_1", "genotype": "col-0"})],
        "image": lambda: file_type(io.BytesIO(sample_images.png())),
    }
    paths = {
        "name": "plate-seg",
        "version": "1.0.0",
        "code": "scale",
        **experiment_paths(facade, settings.experiments_path),
    }
    found = operations(generated)
    document = json.loads(DOCUMENT.read_bytes())
    assert len(found) == sum(len(item) for item in document["paths"].values())
    for name, module in sorted(found.items(), key=lambda item: item[0] == "delete_experiment"):
        parameters = inspect.signature(module.sync_detailed).parameters
        arguments: dict[str, Any] = {
            key: paths["image_measurement" if name == "reproduce_measurement" else key]
            for key, parameter in parameters.items()
            if parameter.default is parameter.empty and key not in ("client", "body")
        }
        if "body" in parameters:
            arguments["body"] = bodies[next((key for key in bodies if name.startswith(key)), "image")]()
        client = package.AuthenticatedClient(facade.url, token="not verified without authentication")
        response = module.sync_detailed(client=client, **arguments)
        assert response.status_code == 200, (name, response.content)
        assert response.parsed is not None, name


def test_generated_client_reads_unknown_numbers_and_problems(generated: str, facade: Facade) -> None:
    package, found = importlib.import_module(generated), operations(generated)
    file_type = importlib.import_module(f"{generated}.types").File
    client = package.AuthenticatedClient(facade.url, token="x")
    measure = found["measure_phenotype"].sync
    phenotype = measure(client=client, body=file_type(io.BytesIO(sample_images.png())))
    assert (phenotype.scale.source, phenotype.scale.mm_per_px) == ("none", None)
    problem = measure(client=client, body=file_type(io.BytesIO(b"GIF89a" + bytes(60))))
    assert (problem.type_, problem.status) == ("/problems/unsupported-image", 415)
