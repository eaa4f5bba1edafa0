"""Parsing and validation of model cards. A model is two files: its card and its weights."""

from typing import get_args

from pydantic import ValidationError

from thale.errors import ArchiveError, describe_validation_error
from thale.schemas import LandmarkKind, ModelCard

CARD = "card.json"
WEIGHTS = "weights.safetensors"
MAX_CARD_BYTES = 32 * 2**10
"""Maximum size of a card. The default cards have up to 6.4 kB. A release in a cluster has at most 240 KiB for the cards
of all its versions."""


def parse_model_card(data: bytes) -> ModelCard:
    """Parse a model card and validate that the model can be served.

    Raises:
        ArchiveError: If the card cannot be parsed, or if a model with this card cannot be served.
    """
    _check_size(data)
    try:
        card = ModelCard.model_validate_json(data)
    except ValidationError as error:  # without the values, which may contain control characters
        raise ArchiveError(f"the model card is invalid: {describe_validation_error(error)}") from error
    validate_model_card(card)
    return card


def validate_model_card(card: ModelCard) -> None:
    """Validate the rules of a card that its schema does not express.

    Raises:
        ArchiveError: If a model with this card cannot be served.
    """
    _check_size(card.model_dump_json().encode())
    if card.task == "segmentation" and (card.classes[:1] != ("background",) or len(card.classes) < 2):
        raise ArchiveError(
            f"the classes of {card.name} are {card.classes}: list background first, then one or more organs"
        )
    unknown_classes = set(card.classes) - set(get_args(LandmarkKind))
    if card.task == "landmarks" and (unknown_classes or not card.classes):
        raise ArchiveError(
            f"the classes of {card.name} are {card.classes}: use one or more of {', '.join(get_args(LandmarkKind))}"
        )
    if len(set(card.classes)) != len(card.classes):
        raise ArchiveError(f"the classes of {card.name} are {card.classes}: list each class only once")
    if not 0 <= card.overlap_px < card.tile_px <= 4096:
        raise ArchiveError(
            f"tiles of {card.tile_px} px that overlap by {card.overlap_px} px cannot cover an image: "
            "overlap_px must be 0 or more and less than tile_px, and tile_px at most 4096"
        )


def _check_size(data: bytes) -> None:
    if len(data) > MAX_CARD_BYTES:
        raise ArchiveError(
            f"the model card has {len(data)} bytes, more than {MAX_CARD_BYTES}: shorten data, limits or references"
        )
