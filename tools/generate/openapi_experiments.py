"""Experiments, measurements and jobs in the OpenAPI document: bodies, errors, headers and examples."""

from collections.abc import Mapping
from typing import Any

from thale import errors
from tools.generate.openapi_errors import BODY, IMAGE, ErrorTypes

_JSON = "application/json"
_EXPERIMENT = "exp-4f1c09ab5d7e6f80"
_MEASUREMENT = "m-8f14e45fceea167a5a36dedd4bea2543"
_JOB = "job-0c7d2f9e1a3b5c4d"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_TIME = "2026-11-21T12:00:00.000+00:00"
_STORE: ErrorTypes = (errors.ExperimentsDisabledError, errors.ExperimentStoreError, errors.ParameterError)
_OF_EXPERIMENT: ErrorTypes = (*_STORE, errors.UnknownExperimentError)
_OF_MEASUREMENT: ErrorTypes = (*_STORE, errors.UnknownMeasurementError)
_OF_JOB: ErrorTypes = (*_STORE, errors.UnknownJobError)
_JSON_BODY: ErrorTypes = (*BODY, errors.UnsupportedContentTypeError)
EXPERIMENT_ERRORS: Mapping[str, ErrorTypes] = {
    "createExperiment": (*_STORE, *_JSON_BODY, errors.ExperimentExistsError),
    "listExperiments": _STORE,
    "getExperiment": _OF_EXPERIMENT,
    "updateExperiment": (*_OF_EXPERIMENT, *_JSON_BODY),
    "deleteExperiment": _OF_EXPERIMENT,
    "putDesign": (*_OF_EXPERIMENT, *_JSON_BODY, errors.DesignTableError),
    "getDesign": _OF_EXPERIMENT,
    "addImage": (
        *_OF_EXPERIMENT,
        *BODY,
        *IMAGE,
        errors.DoubtfulImageError,
        errors.UnsupportedContentTypeError,
    ),
    "listImages": _OF_EXPERIMENT,
    "getImage": (*_OF_EXPERIMENT, errors.UnknownImageError, errors.NotAcceptableError),
    "listMeasurements": _OF_EXPERIMENT,
    "getTable": (
        *_OF_EXPERIMENT,
        errors.NotAcceptableError,
        errors.OverloadedError,
        errors.DeadlineExceededError,
        errors.ImageTooLargeError,
    ),
    "getMeasurement": _OF_MEASUREMENT,
    "reproduceMeasurement": (*_OF_MEASUREMENT, *BODY, *IMAGE),
    "addCorrection": (*_OF_MEASUREMENT, *_JSON_BODY),
    "listCorrections": _OF_MEASUREMENT,
    "submitJob": (*_OF_EXPERIMENT, *_JSON_BODY),
    "listJobs": _OF_EXPERIMENT,
    "getJob": _OF_JOB,
    "listJobImages": _OF_JOB,
    "streamJobEvents": _OF_JOB,
    "cancelJob": (*_OF_JOB, *BODY),
    "retryJob": (*_OF_JOB, *BODY),
}
EXPERIMENT_POSTS = frozenset(
    {
        *("createExperiment", "addImage", "reproduceMeasurement", "addCorrection"),
        *("submitJob", "cancelJob", "retryJob"),
    }
)
EXPERIMENT_HEADERS: Mapping[str, tuple[str, ...]] = {
    "getMeasurement": ("ETag", "Cache-Control"),
    "getImage": ("ETag", "Cache-Control", "Vary", "Content-Disposition", "X-Content-Type-Options"),
    "streamJobEvents": ("Cache-Control",),
}
EXPERIMENT_TAGS = {
    "experiments": "Experiments with design tables, images and tables of traits.",
    "measurements": "Stored measurements, which are never changed.",
    "jobs": "Measurements in the background.",
}
_EXPERIMENT_OBJECT = {
    "id": _EXPERIMENT,
    "name": "Salt 1",
    "description": "Col-0 and Ler on 50 mM NaCl",
    "created_at": _TIME,
    "created_by": "key:4f1c09ab",
    "design_columns": ["plate", "genotype"],
    "images": 2,
    "measured": 1,
    "retain_until": "2031-12-31",
}
_IMAGE_OBJECT = {
    "sha256": _SHA256,
    "name": "p1_2026-11-21.jpg",
    "plate": "p1",
    "added_at": _TIME,
    "measurement_id": _MEASUREMENT,
}
_PARAMETERS = {"mm_per_px": 0.0518, "plate_width_mm": None, "page": None, "expected_plants": 5, "rotate": 0}
_MODELS = [{"name": "plate-seg", "version": "1.0.0", "digest": f"sha256:{_SHA256}", "engine": "openvino 2026.4"}]
_SUMMARY = {
    "id": _MEASUREMENT,
    "sha256": _SHA256,
    "models": _MODELS,
    "parameters": _PARAMETERS,
    "package_version": "1.0.0",
    "created_at": "2026-11-21T12:00:00+00:00",
}
_DESIGN = {
    "columns": ["plate", "genotype"],
    "rows": [["p1", "col-0"], ["p2", "ler"]],
    "unmatched_rows": 1,
    "images_without_row": 0,
}
_CORRECTED_ROOT = {"id": "1", "parent": None, "points": [[1062.0, 897.5], [1058.2, 1731.0]]}
_CORRECTED = {
    "reason": "the tip is lower",
    "plants": [{"id": 1, "plate": None, "checked": True, "roots": [_CORRECTED_ROOT]}],
}
_CORRECTION = {
    "id": 1,
    "measurement_id": _MEASUREMENT,
    "created_at": _TIME,
    "created_by": "key:4f1c09ab",
    **_CORRECTED,
}
_JOB_OBJECT = {
    "id": _JOB,
    "experiment_id": _EXPERIMENT,
    "state": "running",
    "priority": 0,
    "parameters": _PARAMETERS,
    "created_at": _TIME,
    "created_by": "key:4f1c09ab",
    "finished_at": None,
    "progress": {
        **{"total": 10, "queued": 4, "running": 1, "measured": 5},
        **{"failed": 0, "quarantined": 0, "cancelled": 0},
    },
}
_JOB_IMAGE = {
    "sha256": _SHA256,
    "name": "p1_2026-11-21.jpg",
    "state": "failed",
    "attempts": 1,
    "reason": "the image is truncated",
    "measurement_id": None,
}


def _page(item: object) -> dict[str, Any]:
    return {"items": [item], "next_cursor": None}


EXPERIMENT_EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("createExperiment", _JSON): _EXPERIMENT_OBJECT,
    ("listExperiments", _JSON): _page(_EXPERIMENT_OBJECT),
    ("getExperiment", _JSON): _EXPERIMENT_OBJECT,
    ("updateExperiment", _JSON): _EXPERIMENT_OBJECT,
    ("deleteExperiment", _JSON): {"id": _EXPERIMENT, "images": 2},
    ("putDesign", _JSON): _DESIGN,
    ("getDesign", _JSON): _DESIGN,
    ("addImage", _JSON): {**_IMAGE_OBJECT, "is_new": True, "from_cache": False, "phenotype": None},
    ("listImages", _JSON): _page(_IMAGE_OBJECT),
    ("listMeasurements", _JSON): _page({**_SUMMARY, "image": "p1.jpg", "plate": "p1", "is_current": True}),
    ("getTable", "text/csv"): "image,sha256,plate,plant,flags,…\np1_2026-11-21.jpg,9f86d081…,1,1,crossing,…\n",
    ("reproduceMeasurement", _JSON): {
        "measurement_id": _MEASUREMENT,
        "is_identical": True,
        "same_models": True,
        "same_package_version": True,
        "values": 120,
        "max_relative_difference": 0,
        "differences": [],
    },
    ("addCorrection", _JSON): _CORRECTION,
    ("listCorrections", _JSON): {"items": [_CORRECTION]},
    ("submitJob", _JSON): _JOB_OBJECT,
    ("listJobs", _JSON): _page(_JOB_OBJECT),
    ("getJob", _JSON): _JOB_OBJECT,
    ("listJobImages", _JSON): _page(_JOB_IMAGE),
    ("cancelJob", _JSON): _JOB_OBJECT,
    ("retryJob", _JSON): _JOB_OBJECT,
}


def measurement_example(phenotype: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example of a measurement with a phenotype."""
    return {**_SUMMARY, "phenotype": phenotype}


EXPERIMENT_PARAMETERS: Mapping[str, tuple[str, object]] = {
    "measurement": ("", _MEASUREMENT),
    "job": ("", _JOB),
    "limit": ("", 50),
    "cursor": ("", "50"),
    "form": ("", "wide"),
    "measure": ("", False),
    "plate": ("", "p1"),
    "state": ("", "quarantined"),
    "after": ("", 0),
    "sha256": ("", _SHA256),
}


def experiment_body(name: str, image_body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body of an operation, or None if it has none."""
    if name == "addImage":
        return image_body
    if name == "putDesign":
        rows = {
            "type": "array",
            "items": {"type": "object", "additionalProperties": True},
        }
        return {
            "required": True,
            "description": "An object for each plate, image or plant. CSV with the type text/csv is accepted too; "
            "generators of clients do not know it.",
            "content": {
                _JSON: {"schema": rows, "example": [{"plate": "p1", "genotype": "col-0"}]},
            },
        }
    bodies: Mapping[str, tuple[str, str, object]] = {
        "createExperiment": ("ExperimentRequest", "The new experiment.", {"name": "Salt 1", "description": ""}),
        "updateExperiment": ("ExperimentUpdate", "The changed fields.", {"retain_until": "2031-12-31"}),
        "addCorrection": ("CorrectionRequest", "The correction.", _CORRECTED),
        "submitJob": ("JobRequest", "The new job.", {"experiment": "Salt 1", "expected_plants": 5}),
    }
    if name not in bodies:
        return None
    schema, description, example = bodies[name]
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "required": True,
        "description": description,
        "content": {_JSON: {"schema": reference, "example": example}},
    }
