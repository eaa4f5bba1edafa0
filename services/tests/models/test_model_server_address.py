"""Tests of the addresses of model servers."""

import pytest
from pydantic import TypeAdapter, ValidationError

from thale.models.model_server_address import ModelServerAddress, socket_path

ADDRESS = TypeAdapter(ModelServerAddress)


@pytest.mark.parametrize(
    ("value", "address", "path"),
    [
        ("http://10.0.0.7:8080/", "http://10.0.0.7:8080", None),
        ("https://models.example", "https://models.example", None),
        ("unix:/run/thale/inference.sock", "unix:/run/thale/inference.sock", "/run/thale/inference.sock"),
    ],
)
def test_model_server_address_is_url_or_socket(value: str, address: str, path: str | None) -> None:
    assert ADDRESS.validate_python(value) == address
    assert socket_path(address) == path


@pytest.mark.parametrize("value", ["unix:inference.sock", "unix:", "ftp://host", "/run/thale/inference.sock"])
def test_model_server_address_rejects_other_values(value: str) -> None:
    with pytest.raises(ValidationError):
        ADDRESS.validate_python(value)
