"""Examples of parameters, bodies and responses in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from thale._version import __version__
from tools.generate.openapi_brapi import BRAPI_EXAMPLES, BRAPI_PARAMETERS
from tools.generate.openapi_experiments import EXPERIMENT_EXAMPLES, EXPERIMENT_PARAMETERS, measurement_example
from tools.generate.openapi_rollouts import ROLLOUTS_EXAMPLE

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SEGMENTER = {"name": "plate-seg", "version": "1.0.0", "digest": f"sha256:{_SHA256}", "engine": "openvino 2026.4"}
_LANDMARKER = {**_SEGMENTER, "name": "plate-landmarks"}
_SCALE = {"mm_per_px": 0.0518, "source": "given", "plate_width_mm": None}
_CALIBRATION: dict[str, Any] = {"scale": _SCALE, "plate": None, "plates": [], "flags": []}
_FLAG = {"code": "crossing", "message": "two roots cross at 1060,1240", "at": {"x": 1060, "y": 1240}}
_CARD = {
    "name": "plate-seg",
    "version": "1.0.0",
    "task": "segmentation",
    "classes": ["background", "root", "shoot", "seed"],
    "mm_per_px": 0.0625,
    "normalisation": {"background_mm": 4, "contrast": 32, "clip": 6},
    "net": "block-unet",
    "net_options": {"width": 16},
    "precision": "float32",
    "tile_px": 768,
    "overlap_px": 128,
    "data": "2400 synthetic plate crops",
    "licence": "Apache-2.0",
    "recipe": "plate-seg",
    "seed": 7,
    "parameters": 512000,
    "weights_sha256": _SHA256,
    "metrics": {"root_f1": 0.91},
    "references": {},
    "limits": "Trained on synthetic Arabidopsis seedlings.",
}
_MODEL = {
    "name": "plate-seg",
    "task": "segmentation",
    "versions": [
        {
            "version": "1.0.0",
            "state": "ready",
            "default": True,
            "canary": False,
            "traffic_percent": 100,
            "digest": f"sha256:{_SHA256}",
            "card": _CARD,
        }
    ],
}
_LANDMARK = {"kind": "primary_tip", "x": 1058.2, "y": 1731.0, "score": 0.97}
_TRAIT = {
    "trait": "primary_root_length",
    "value": 43.2,
    "interval": [42.1, 44.5],
    "unit": "mm",
    "ontology_id": "TO:0000227",
    "ontology_relation": "broadMatch",
    "ontology_qualifier": "primary root",
    "quality": "ok",
    "flags": [],
}
_ROOT = {
    "id": "1",
    "order": 1,
    "parent": None,
    "points": [[1062.0, 897.5], [1058.2, 1731.0]],
    "length_px": 833.5,
    "confidence": 0.93,
    "diameter_px": 5.1,
    "insertion_angle_deg": None,
    "flags": [],
}
_SHOOT = {
    "kind": "shoot",
    "ontology_id": "PO:0009006",
    "area_px": 5210,
    "area_mm2": 13.98,
    "confidence": 0.95,
    "polygons": [[1040, 820, 1090, 820, 1090, 890, 1040, 890]],
}
_PHENOTYPE = {
    "image": {
        "width": 2400,
        "height": 2400,
        "format": "JPEG",
        "mode": "RGB",
        "bits": 8,
        "pages": 1,
        "exif_orientation": 1,
        "size_bytes": 2215004,
        "sha256": _SHA256,
        "name": "plate_2026-11-21_01.jpg",
        "jpeg_quality": 92,
    },
    "rotate": 0,
    "scale": _SCALE,
    "plate": None,
    "plates": [],
    "plants": [
        {
            "id": 1,
            "plate": None,
            "organs": [_SHOOT],
            "landmarks": [_LANDMARK],
            "roots": [_ROOT],
            "traits": [_TRAIT],
            "flags": [_FLAG],
        }
    ],
    "traits": [{**_TRAIT, "trait": "plate_total_root_length", "ontology_qualifier": None}],
    "flags": [],
    "provenance": {
        "models": [_SEGMENTER, _LANDMARKER],
        "config_digest": f"sha256:{_SHA256}",
        "package_version": __version__,
        "created": "2026-11-21T12:00:00+00:00",
    },
    "timings": {"segment_s": 0.61, "landmarks_s": 0.34, "plants_s": 0.42, "total_s": 1.12},
}
_PHOTOGRAPH = {
    "index": 0,
    "image": "plate_2026-11-21_01.jpg",
    "sha256": _SHA256,
    "time": "2026-11-21T12:00:00+01:00",
    "time_source": "file_name",
    "is_time_of_day_known": True,
    "days": 0,
    "mm_per_px": 0.0518,
    "scale_source": "given",
    "origin": "image_corner",
    "plants": 1,
    "flags": [],
}
_SERIES = {
    "plates": [
        {
            "plate": "plate_01",
            "photographs": [_PHOTOGRAPH],
            "tracks": [
                {
                    "id": 1,
                    "observations": [
                        {
                            "photograph": 0,
                            "plant": 1,
                            "base": {"x_mm": 55.0, "y_mm": 46.5},
                            "tip": {"x_mm": 54.8, "y_mm": 89.7},
                            "displacement_mm": None,
                            "flags": [],
                        }
                    ],
                    "growth": [],
                    "flags": [],
                }
            ],
            "flags": [],
        }
    ],
    "package_version": __version__,
}
_INFERENCE = {
    "id": "42",
    "model_name": "plate-landmarks",
    "model_version": "1.0.0",
    "outputs": [
        {"name": "kinds", "datatype": "BYTES", "shape": [1], "data": ["primary_tip"]},
        {"name": "points", "datatype": "FP32", "shape": [1, 2], "data": [1058.2, 1731.0]},
    ],
}
_INFER_REQUEST = {
    "id": "42",
    "parameters": {"mm_per_px": 0.0518},
    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["/9j/4AAQSkZJRgABAQ…"]}],
    "outputs": [{"name": "points"}, {"name": "kinds", "parameters": {"binary_data": False}}],
}

PARAMETER_EXAMPLES: Mapping[str, tuple[str, Any]] = {
    "mm_per_px": ("", 0.0518),
    "plate_width_mm": ("", 100),
    "experiment": ("", "col-0_salt"),
    "model": ("", ["plate-seg@1.0.0"]),
    "page": ("", 0),
    "timeout_s": ("", 30),
    "name": ("Name of the model.", "plate-seg"),
    "version": ("Version of the model.", "1.0.0"),
    "code": ("Last part of the `type` of a problem.", "scale"),
    "region": ("", "plate"),
    "expected_plants": ("", 5),
    "rotate": ("", 180),
    "strict": ("", True),
    "table": ("", "long"),
    "rows": ("", "growth"),
    **EXPERIMENT_PARAMETERS,
    **BRAPI_PARAMETERS,
    "Idempotency-Key": ("", "plate-7-2026-11-21"),
}
"""Description, if the route has none, and example of each parameter."""

BODY_EXAMPLES: Mapping[str, Any] = {
    "followSeries": {
        "photographs": [{"phenotype": _PHENOTYPE, "time": "2026-11-21T12:00:00", "plate": "plate_01"}],
        "time_zone": "Europe/Amsterdam",
    },
    "computeTraits": {
        "phenotype": _PHENOTYPE,
        "plants": [
            {
                "id": 1,
                "plate": 1,
                "checked": True,
                "roots": [{"id": "1", "parent": None, "points": [[512.0, 410.0], [520.5, 816.0], [531.0, 1243.0]]}],
            }
        ],
    },
    "inferModel": _INFER_REQUEST,
}

_V2_MODEL = {
    "name": "plate-seg",
    "versions": ["1.0.0"],
    "platform": "thale_segmentation",
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "probabilities", "datatype": "UINT8", "shape": [-1, -1, -1, -1]}],
}
_JSON = "application/json"
RESPONSE_EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("measurePhenotype", _JSON): _PHENOTYPE,
    ("measurePhenotype", "text/csv"): "image,sha256,plate,plant,flags,…\nplate_01.jpg,9f86d081…,1,1,crossing,…\n",
    ("segmentImage", _JSON): {
        "model": _SEGMENTER,
        "classes": ["background", "root", "shoot", "seed"],
        "frame": {"x0": 0, "y0": 0, "source_width": 2400, "source_height": 2400, "width": 1989, "height": 1989},
        "calibration": _CALIBRATION,
        "seconds": {"inference": 0.41},
        "area_px": {"background": 5700000, "root": 41000, "shoot": 18200, "seed": 800},
        "area_mm2": {"background": 15294.7, "root": 110.0, "shoot": 48.8, "seed": None},
    },
    ("detectLandmarks", _JSON): {
        "model": _LANDMARKER,
        "landmarks": [_LANDMARK],
        "calibration": _CALIBRATION,
        "flags": [],
        "seconds": {"inference": 0.2},
    },
    ("followSeries", _JSON): _SERIES,
    (
        "followSeries",
        "text/csv",
    ): "plate,plant,image,sha256,…\nplate_01,1,plate_01.jpg,9f86d081…,…\n",
    ("computeTraits", _JSON): _PHENOTYPE,
    ("computeTraits", "text/csv"): "image,sha256,plate,plant,flags,…\nplate_01.jpg,9f86d081…,1,1,corrected,…\n",
    **EXPERIMENT_EXAMPLES,
    **BRAPI_EXAMPLES,
    ("getMeasurement", _JSON): measurement_example(_PHENOTYPE),
    ("listModels", _JSON): [_MODEL],
    ("getModel", _JSON): _MODEL,
    ("getSignInMethods", _JSON): {
        "is_required": True,
        "api_key": True,
        "entra": {
            "authority": "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111",
            "client_id": "33333333-3333-3333-3333-333333333333",
            "scope": "33333333-3333-3333-3333-333333333333/.default",
        },
    },
    ("listRollouts", _JSON): ROLLOUTS_EXAMPLE,
    ("getIndex", _JSON): {
        "name": "thale",
        "version": __version__,
        "contract": "/openapi.json",
        "ready": "/health/ready",
    },
    ("getLiveness", _JSON): {"status": "live"},
    ("getReadiness", _JSON): {"status": "ready", "missing": []},
    ("describeProblem", _JSON): {
        "type": "/problems/scale",
        "title": "The scale is implausible",
        "status": 422,
        "detail": "The scale is outside the range that is possible for a photograph of plants.",
        "instance": None,
        "request_id": None,
    },
    ("getServerMetadata", _JSON): {"name": "thale", "version": __version__, "extensions": ["binary_tensor_data"]},
    ("getServerLive", _JSON): {"live": True},
    ("getServerReady", _JSON): {"ready": True},
    ("listModelNames", _JSON): {"models": ["plate-landmarks", "plate-seg"]},
    ("getModelMetadata", _JSON): _V2_MODEL,
    ("getModelVersionMetadata", _JSON): _V2_MODEL,
    ("getModelReady", _JSON): {"name": "plate-seg", "ready": True},
    ("getModelVersionReady", _JSON): {"name": "plate-seg", "ready": True},
    ("inferModel", _JSON): _INFERENCE,
    ("inferModelVersion", _JSON): _INFERENCE,
}
"""Example of each response, by operation id and media type."""
