"""Parsing of responses."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from thale.errors import UnexpectedResponseError

_Response = TypeVar("_Response", bound=BaseModel)


def parse_response(response_type: type[_Response], data: bytes) -> _Response:
    """Return the object of a JSON response. Fields that only a newer server sends are ignored.

    Raises:
        UnexpectedResponseError: If the response is invalid.
    """
    try:
        return response_type.model_validate_json(data, extra="ignore")
    except ValidationError as error:
        raise UnexpectedResponseError(f"the server's {response_type.__name__} is invalid: {error}") from error
