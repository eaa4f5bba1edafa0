"""BrAPI v2.1 in the OpenAPI document: errors, headers and examples."""

from collections.abc import Mapping
from typing import Any

from thale import errors
from tools.generate.openapi_errors import ErrorTypes

_JSON = "application/json"
_STUDY = "exp-4f1c09ab5d7e6f80"
_MEASUREMENT = "m-8f14e45fceea167a5a36dedd4bea2543"
_PLATE, _PLANT = f"{_STUDY}.1.0.0", f"{_STUDY}.1.0.1"
_IMAGE = f"{_STUDY}.1"
_OBSERVATION = f"{_STUDY}.{_MEASUREMENT}.0.0"
_VARIABLE = "primary_root_length_mm"
_LIST: ErrorTypes = (errors.ExperimentsDisabledError, errors.ExperimentStoreError, errors.ParameterError)
_ONE: ErrorTypes = (errors.ParameterError, errors.UnknownBrapiObjectError, *_LIST[:2])
BRAPI_ERRORS: Mapping[str, ErrorTypes] = {
    **dict.fromkeys(("getServerInfo", "listCommonCropNames", "listObservationLevels"), (errors.ParameterError,)),
    **dict.fromkeys(
        ("listStudies", "listObservationUnits", "listVariables", "listObservations", "listBrapiImages"), _LIST
    ),
    **dict.fromkeys(
        ("getStudy", "getObservationUnit", "getVariable", "getObservation", "getBrapiImage", "getImageContent"), _ONE
    ),
}
BRAPI_HEADERS: Mapping[str, tuple[str, ...]] = {
    "getImageContent": ("Content-Disposition", "X-Content-Type-Options"),
}
BRAPI_TAGS = {"BrAPI v2.1": "Experiments for clients of plant breeding databases."}
BRAPI_PARAMETERS: Mapping[str, tuple[str, object]] = {
    "pageSize": ("", 1000),
    "contentType": ("", _JSON),
    "dataType": ("", _JSON),
    "studyDbId": ("", _STUDY),
    "studyName": ("", "Salt 1"),
    "observationUnitDbId": ("", _PLANT),
    "observationUnitLevelName": ("", "plant"),
    "observationVariableDbId": ("", _VARIABLE),
    "observationDbId": ("", _OBSERVATION),
    "imageDbId": ("", _IMAGE),
    "imageName": ("", "p1_2026-11-21.jpg"),
    "study": ("", _STUDY),
    "unit": ("", _PLANT),
    "variable": ("", _VARIABLE),
    "observation": ("", _OBSERVATION),
    "image": ("", _IMAGE),
}
_LEVELS = [{"levelName": "plate", "levelOrder": 2}, {"levelName": "plant", "levelOrder": 3}]
_STUDY_OBJECT = {
    "studyDbId": _STUDY,
    "studyName": "Salt 1",
    "studyType": "Phenotyping",
    "active": True,
    "observationLevels": _LEVELS,
    "additionalInfo": {"images": "2", "measuredImages": "1", "designColumns": "plate, genotype, NaCl"},
}
_UNIT_OBJECT = {
    "observationUnitDbId": _PLANT,
    "observationUnitName": "p1 plant 1",
    "studyDbId": _STUDY,
    "studyName": "Salt 1",
    "germplasmName": "col-0",
    "observationUnitPosition": {
        "observationLevel": {**_LEVELS[1], "levelCode": "1", "observationUnitDbId": _PLANT},
        "observationLevelRelationships": [
            {"levelName": "study", "levelOrder": 0, "levelCode": _STUDY},
            {**_LEVELS[0], "levelCode": "p1", "observationUnitDbId": _PLATE},
        ],
    },
    "treatments": [{"factor": "NaCl", "modality": "50 mM"}],
}
_VARIABLE_OBJECT = {
    "observationVariableDbId": _VARIABLE,
    "observationVariableName": _VARIABLE,
    "trait": {
        "traitDbId": "primary_root_length",
        "traitName": "Primary root length",
        "ontologyReference": {"ontologyDbId": "TO:0000227", "ontologyName": "Plant Trait Ontology"},
        "additionalInfo": {"level": "plant", "ontologyRelation": "broadMatch", "ontologyQualifier": "primary root"},
    },
    "method": {
        "methodDbId": "thale.primary_root_length",
        "methodName": "thale image analysis",
        "methodClass": "Computation",
    },
    "scale": {"scaleDbId": "mm", "scaleName": "mm", "units": "mm", "dataType": "Numerical"},
}
_OBSERVATION_OBJECT = {
    "observationDbId": _OBSERVATION,
    "observationUnitDbId": _PLANT,
    "observationUnitName": "p1 plant 1",
    "observationVariableDbId": _VARIABLE,
    "observationVariableName": _VARIABLE,
    "studyDbId": _STUDY,
    "germplasmName": "col-0",
    "observationTimeStamp": "2026-11-21T12:00:00Z",
    "value": "43.2",
    "collector": "thale 1.0.0",
    "additionalInfo": {
        "quality": "ok",
        "intervalLow": "42.1",
        "intervalHigh": "44.5",
        "measurementId": _MEASUREMENT,
        "timeSource": "date in the file name, at noon UTC",
    },
}
_IMAGE_OBJECT = {
    "imageDbId": _IMAGE,
    "imageName": "p1_2026-11-21.jpg",
    "imageFileName": "p1_2026-11-21.jpg",
    "imageFileSize": 2215004,
    "imageWidth": 2400,
    "imageHeight": 2400,
    "mimeType": "image/jpeg",
    "imageURL": f"https://thale.example.org/brapi/v2/images/{_IMAGE}/imagecontent",
    "imageTimeStamp": "2026-11-21T12:00:00Z",
    "observationUnitDbId": _PLATE,
    "additionalInfo": {"studyDbId": _STUDY, "measurementId": _MEASUREMENT},
}
_SERVER = {
    "serverName": "thale",
    "serverDescription": "Traits of plants on plates, measured on photographs.",
    "documentationURL": "https://brapi.org/specification",
    "calls": [
        {"service": "studies", "contentTypes": [_JSON], "methods": ["GET"], "versions": ["2.1"]},
    ],
}


def _metadata(size: int) -> dict[str, Any]:
    pagination = {"currentPage": 0, "pageSize": size, "totalCount": 1, "totalPages": 1}
    return {"datafiles": [], "status": [], "pagination": pagination}


def _list(item: object) -> dict[str, Any]:
    return {"metadata": _metadata(1000), "result": {"data": [item]}}


def _single(item: object) -> dict[str, Any]:
    return {"metadata": _metadata(1), "result": item}


BRAPI_EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("getServerInfo", _JSON): _single(_SERVER),
    ("listCommonCropNames", _JSON): _list("Arabidopsis"),
    ("listObservationLevels", _JSON): _list(_LEVELS[0]),
    ("listStudies", _JSON): _list(_STUDY_OBJECT),
    ("getStudy", _JSON): _single(_STUDY_OBJECT),
    ("listObservationUnits", _JSON): _list(_UNIT_OBJECT),
    ("getObservationUnit", _JSON): _single(_UNIT_OBJECT),
    ("listVariables", _JSON): _list(_VARIABLE_OBJECT),
    ("getVariable", _JSON): _single(_VARIABLE_OBJECT),
    ("listObservations", _JSON): _list(_OBSERVATION_OBJECT),
    ("getObservation", _JSON): _single(_OBSERVATION_OBJECT),
    ("listBrapiImages", _JSON): _list(_IMAGE_OBJECT),
    ("getBrapiImage", _JSON): _single(_IMAGE_OBJECT),
}


def brapi_error_content(detail: str) -> dict[str, Any]:
    """Return the content of an error response: a text with the severity, the time and the message."""
    schema = {"type": "string"}
    return {_JSON: {"schema": schema, "example": f"ERROR - 2026-11-21T12:00:00Z - {detail}"}}
