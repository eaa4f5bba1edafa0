"""Default models, for tests that need quality."""

import shutil
from pathlib import Path

WEIGHTS = Path(__file__).parents[2] / "model-server" / "weights"


def copy_default_model(name: str, folder: Path) -> Path:
    """Return a copy of a default model, whose card a test may change."""
    newest = max((WEIGHTS / name).iterdir(), key=lambda path: tuple(map(int, path.name.split("."))))
    return Path(shutil.copytree(newest, folder / name))
