"""thale: plant traits in millimetres from photographs, measured by versioned models.

>>> import thale
>>> with thale.Client("http://127.0.0.1:8080") as client:  # doctest: +SKIP
...     phenotype = client.phenotype("plate.jpg")
"""

from thale._version import __version__

TYPE_CHECKING = False  # not from `typing`: `python -m thale` imports this module before it excludes the current folder
if TYPE_CHECKING:
    from thale.client import Client
    from thale.errors import ThaleError
    from thale.schemas import Phenotype

__all__ = ["Client", "Phenotype", "ThaleError", "__version__"]

_LAZY_IMPORTS = {"Client": "thale.client", "Phenotype": "thale.schemas", "ThaleError": "thale.errors"}


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that `import thale` stays fast."""
    from importlib import import_module

    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module 'thale' has no attribute {name!r}")
    return getattr(import_module(_LAZY_IMPORTS[name]), name)
