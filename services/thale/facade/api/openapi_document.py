"""OpenAPI document of the facade, as committed.

`make generate` writes it (`tools.generate.openapi_document`), and a test fails if it is outdated. The facade serves the
file instead of generating a document, so that all replicas of a version serve the same one (ADR 0133).
"""

import json
from pathlib import Path
from typing import Any

_PATH = Path(__file__).with_name("openapi.json")


def load_document() -> dict[str, Any]:
    """Return the document."""
    document: dict[str, Any] = json.loads(_PATH.read_bytes())
    return document
