"""Extraction of schemas from CRDs."""

import gzip
import json
from pathlib import Path

import pytest

from tools.generate.crd_schemas import write_schemas

CRDS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: keda.sh
  names: {kind: ScaledObject}
  versions:
    - name: v1alpha1
      served: true
      schema:
        openAPIV3Schema:
          description: a text
          type: object
          properties:
            description: {type: string, description: a field of this name}
            operator: {type: string, enum: [=, "!="]}
    - {name: v1alpha0, served: false, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: keda.sh
  names: {kind: ScaledJob}
  versions: [{name: v1alpha1, served: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def test_write_schemas_keeps_fields_and_drops_descriptions(tmp_path: Path) -> None:
    (tmp_path / "crds.yaml").write_text(CRDS)
    write_schemas({"keda": tmp_path / "crds.yaml"}, tmp_path / "out.gz")
    content = json.loads(gzip.decompress((tmp_path / "out.gz").read_bytes()))
    fields = {"description": {"type": "string"}, "operator": {"type": "string", "enum": ["=", "!="]}}
    assert content["schemas"] == {"keda.sh/v1alpha1/ScaledObject": {"type": "object", "properties": fields}}
    assert content["versions"] == {"keda": "2.18.3"}


def test_write_schemas_names_another_commit(tmp_path: Path) -> None:
    (tmp_path / "crds.yaml").write_text(CRDS)
    write_schemas({"kserve-crd@0123abc": tmp_path / "crds.yaml"}, tmp_path / "out.gz")
    assert json.loads(gzip.decompress((tmp_path / "out.gz").read_bytes()))["versions"] == {"kserve-crd": "0123abc"}


def test_write_schemas_rejects_unknown_addon(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_schemas({"unknown": tmp_path / "crds.yaml"}, tmp_path / "out.gz")
