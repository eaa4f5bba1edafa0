"""Data that come with the wheel: beside the package once installed, where they are kept in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = Path(__file__).parents[3]


def packaged(name: str, in_checkout: str) -> Path:
    """Return where a file of the wheel is (pyproject.toml, force-include)."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _CHECKOUT / in_checkout / name
