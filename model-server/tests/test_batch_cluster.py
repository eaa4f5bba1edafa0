"""Tests of the addresses of Dask schedulers."""

import pytest

from thale.errors import BatchEngineError, ParameterError
from thale_models.batch import cluster


@pytest.mark.parametrize(
    "address",
    ["", "host:8786", "tls://host", "tls://:8786", "http://host:8786", "tcp://host:99999", "tls://host:1/path"],
)
def test_check_address_rejects_what_is_no_scheduler(address: str) -> None:
    with pytest.raises(ParameterError, match="is not a scheduler"):
        cluster.check_address(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("tls://10.0.0.4:8786", False), ("tcp://127.0.0.1:8786", False), ("tcp://[::1]:8786", False), ("tcp://a:1", True)],
)
def test_is_exposed_without_tls_to_another_machine(address: str, expected: bool) -> None:
    cluster.check_address(address)
    assert cluster.is_exposed(address) is expected


def test_connect_names_a_scheduler_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_TIMEOUT_S", 1)
    message = r"no scheduler responds at tcp://127\.0\.0\.1:9 "
    with pytest.raises(BatchEngineError, match=message), cluster.connect("tcp://127.0.0.1:9"):
        pass
