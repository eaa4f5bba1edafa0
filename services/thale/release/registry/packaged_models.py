"""Cards of the models that are packaged with thale: the default weights in the wheel or the checkout."""

import importlib.util
from pathlib import Path

from thale.models.model_card import CARD, parse_model_card
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS, graph_digest
from thale.schemas import ModelCard


def packaged_cards() -> frozenset[str]:
    """Return the cards of the packaged models as JSON. Each contains the SHA-256 of its weights.

    The package is located and not imported, because thale does not depend on the model server's code.

    Raises:
        ArchiveError: If a card is invalid.
    """
    return frozenset(parse_model_card(path.read_bytes()).model_dump_json() for path in _card_paths())


def is_packaged_graph(card: ModelCard, graph_sha256: str) -> bool:
    """Return whether a graph is the one that is packaged with this card.

    The card has the digest of the weights, but not that of the graph.

    Raises:
        ArchiveError: If a card is invalid.
    """
    content = card.model_dump_json()  # equal cards with an unknown metric are not equal as objects: NaN
    for path in _card_paths():
        graph, constants = path.with_name(GRAPH), path.with_name(GRAPH_CONSTANTS)
        is_same = parse_model_card(path.read_bytes()).model_dump_json() == content
        if is_same and graph.is_file() and constants.is_file():
            return graph_digest(graph.read_bytes(), [constants.read_bytes()]) == graph_sha256
    return False


def _card_paths() -> list[Path]:
    spec = importlib.util.find_spec("thale_models")
    if spec is None or not spec.submodule_search_locations:
        return []
    package = Path(spec.submodule_search_locations[0])
    data = package if (package / "weights").is_dir() else package.parent  # the wheel, or the checkout
    return sorted(data.glob(f"weights/*/*/{CARD}"))
