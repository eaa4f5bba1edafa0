"""OpenAPI document of the facade (ADR 0133).

    python -m tools.generate.openapi_document      write services/thale/facade/api/openapi.json

FastAPI supplies the paths, parameters, schemas and security. This module adds what it cannot know: the bodies that the
facade reads itself, every error status with its problem types, headers, examples, and descriptions of properties.
"""

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from thale.facade.api.v2_request import JSON_LENGTH_HEADER, InferRequest
from thale.facade.api.v2_responses import V2Error
from thale.facade.app import create_app
from thale.facade.experiments.table_file import PARQUET, XLSX
from thale.facade.settings import FacadeSettings
from thale.schemas import TraitsRequest
from thale.schemas.experiment import CorrectionRequest, ExperimentRequest, ExperimentUpdate, JobRequest
from thale.series.schemas import SeriesRequest
from tools.generate.openapi_brapi import BRAPI_TAGS
from tools.generate.openapi_examples import BODY_EXAMPLES, PARAMETER_EXAMPLES, RESPONSE_EXAMPLES
from tools.generate.openapi_experiments import EXPERIMENT_TAGS, experiment_body
from tools.generate.openapi_responses import HEADERS, PARAMETERS, error_responses, success_headers

DOCUMENT = Path(__file__).parents[2] / "services" / "thale" / "facade" / "api" / "openapi.json"
_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = """\
Measures plants on photographs: organs, landmarks, roots and traits in millimetres.

- An unknown number is null, never 0. Lengths have their unit in the name, or in `unit`.
- Positions are pixels of the image after its EXIF orientation, with the centre of the first pixel at (0, 0).
- Errors are problem documents (RFC 9457) with a stable `type`, which GET /problems/{code} describes. Errors of /v2 \
have the form of the Open Inference Protocol, and errors of /brapi/v2 that of BrAPI.
- Ignore fields that you do not know: a later version may add some. The server rejects fields and parameters that it \
does not know.
- HEAD is served as GET without a body.
"""
_TAGS = {
    "measure": "Measurements of photographs.",
    "models": "Released models and their versions.",
    **EXPERIMENT_TAGS,
    **BRAPI_TAGS,
    "health": "State of the server. No credential is needed.",
    "problems": "Descriptions of the errors.",
    "Open Inference Protocol v2": "The protocol of KServe and Triton clients.",
}
_BODIES = (
    *(SeriesRequest, TraitsRequest, InferRequest),
    *(ExperimentRequest, ExperimentUpdate, CorrectionRequest, JobRequest),
)
_BINARY = {"type": "string", "format": "binary"}
_IMAGE_BODY: dict[str, Any] = {
    "required": True,
    "description": "A JPEG, PNG, TIFF or HEIC: its bytes, or the field `image` of a form. Any image type is "
    "accepted as the type of the bytes, because the content decides the format. Generators of clients know octet "
    "streams only.",
    "content": {
        "application/octet-stream": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {
                "title": "ImageForm",
                "type": "object",
                "required": ["image"],
                "properties": {"image": {**_BINARY, "description": "The image file."}},
            }
        },
    },
}


def build() -> dict[str, Any]:
    """Return the document."""
    app = create_app(FacadeSettings(release_state_path=Path("release-state.json")))
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=_DESCRIPTION, routes=app.routes
    )
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    document["tags"] = [{"name": name, "description": description} for name, description in _TAGS.items()]
    components = document["components"]
    components["headers"] = HEADERS
    for path, item in document["paths"].items():
        for operation in item.values():
            _complete_operation(path, operation)
    _add_schemas(components["schemas"])
    return document


def write(path: Path = DOCUMENT) -> None:
    """Write the document."""
    path.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n")


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    operation["description"] = " ".join(operation["description"].split())
    operation["parameters"] = [
        *(_complete_parameter(parameter) for parameter in operation.get("parameters", ())),
        *PARAMETERS["all"],
        *(PARAMETERS["infer"] if name.startswith("infer") else ()),
    ]
    body = _request_body(name)
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = {
        **_success_responses(name, operation["responses"]),
        **error_responses(path, name, "security" in operation, operation["responses"]),
    }


def _complete_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter with an example, and without null: a path or a query cannot contain it."""
    schema = dict(parameter["schema"])
    options = [option for option in schema.pop("anyOf", ()) if option != {"type": "null"}]
    if options:
        schema = {**schema, **options[0]}
    schema.pop("title", None)
    schema.pop("description", None)
    description, example = PARAMETER_EXAMPLES[parameter["name"]]
    return {
        **parameter,
        "description": parameter.get("description", description),
        "schema": schema,
        "example": example,
    }


def _request_body(name: str) -> dict[str, Any] | None:
    if name in ("measurePhenotype", "segmentImage", "detectLandmarks"):
        return _IMAGE_BODY
    if name == "followSeries":
        content = {"application/json": {"schema": _reference("SeriesRequest"), "example": BODY_EXAMPLES[name]}}
        return {"required": True, "description": "Phenotypes that were measured before.", "content": content}
    if name == "computeTraits":
        content = {"application/json": {"schema": _reference("TraitsRequest"), "example": BODY_EXAMPLES[name]}}
        description = "A phenotype that was measured before, and all its plants with their corrected roots."
        return {"required": True, "description": description, "content": content}
    if name.startswith("infer"):
        json_body = {"schema": _reference("InferRequest"), "example": BODY_EXAMPLES["inferModel"]}
        content = {"application/json": json_body, "application/octet-stream": {"schema": _BINARY}}
        description = (
            f"An InferRequest. In the binary form, {JSON_LENGTH_HEADER} has its length, and the images follow."
        )
        return {"required": True, "description": description, "content": content}
    return experiment_body(name, _IMAGE_BODY)


def _success_responses(name: str, responses: dict[str, Any]) -> dict[str, Any]:
    success = dict(responses["200"])
    content = dict(success.get("content", {}))
    ordered = {kind: content[kind] for kind in sorted(content, key=lambda kind: kind != "application/json")}
    if name.startswith("infer"):
        ordered["application/octet-stream"] = {"schema": _BINARY}
    for kind in ordered:
        if kind in ("image/png", "application/x-npz", PARQUET, XLSX):
            ordered[kind] = {"schema": _BINARY}
        if (example := RESPONSE_EXAMPLES.get((name, kind))) is not None:
            ordered[kind] = {**ordered[kind], "example": example}
    if success["description"] == "Successful Response":
        success["description"] = "The result."
    return {"200": {**success, "headers": success_headers(name), "content": ordered}}


def _add_schemas(schemas: dict[str, Any]) -> None:
    """Add the schemas of bodies and errors, and complete all: descriptions, and tolerance of unknown fields."""
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for schema in schemas.values():
        schema.pop("additionalProperties", None) if "properties" in schema else None
    _, inputs = models_json_schema(
        [
            *((model, "validation") for model in _BODIES),
            (V2Error, "serialization"),
        ],
        ref_template=_REFERENCE,
    )
    for name, schema in inputs["$defs"].items():
        schemas.setdefault(name, schema)  # a phenotype in a request has the schema of the response
    classes = {re.sub(r"\W", "_", model.__name__): model for model in _models(BaseModel)}
    for name in sorted(schemas):
        schemas[name] = _complete_schema(schemas.pop(name), classes[name])


def _complete_schema(schema: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    schema["description"] = " ".join((inspect.getdoc(model) or "").split())
    descriptions = dict(_attribute_docstrings(model))
    for name, field in schema.get("properties", {}).items():
        field.pop("title", None)
        field.setdefault("description", descriptions.get(name, ""))
    return schema


def _attribute_docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the docstring after each field of a model and its bases. NaN in Python is null in JSON."""
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel or base.__pydantic_generic_metadata__["args"]:
            continue
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, following in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                value = following.value if isinstance(following, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield field.target.id, re.sub(r"\b(NaN|None)\b", "Null", " ".join(value.value.split()))


def _models(model: type[BaseModel]) -> Iterable[type[BaseModel]]:
    for child in model.__subclasses__():
        if child.__module__.startswith("thale."):
            yield child
        yield from _models(child)


def _reference(model: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model)}


if __name__ == "__main__":
    write()
