"""Cards of the models that are packaged with thale: the default weights in the wheel or the checkout."""

import importlib.util
from pathlib import Path

from thale.models.model_card import CARD, parse_model_card


def packaged_cards() -> frozenset[str]:
    """Return the cards of the packaged models as JSON. Each contains the SHA-256 of its weights.

    The package is located and not imported, because thale does not depend on the model server's code.

    Raises:
        ArchiveError: If a card is invalid.
    """
    spec = importlib.util.find_spec("thale_models")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    package = Path(spec.submodule_search_locations[0])
    data = package if (package / "weights").is_dir() else package.parent  # the wheel, or the checkout
    return frozenset(parse_model_card(path.read_bytes()).model_dump_json() for path in data.glob(f"weights/*/*/{CARD}"))
