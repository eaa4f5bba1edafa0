"""Tests of the check that KServe does not copy annotations of releases into pod templates."""

import pytest
from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException

from thale.kserve.propagation import PropagationCheck


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (403, "Forbidden", "grant `get` on the ConfigMap kserve/inferenceservice-config"),
        (404, "Not Found", "install KServe in the namespace kserve"),
    ],
)
def test_unreadable_list_is_logged_once_with_its_remedy(
    status: int, reason: str, remedy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def reject(*_arguments: object, **_options: object) -> None:
        raise ApiException(status=status, reason=reason)

    monkeypatch.setattr(CoreV1Api, "read_namespaced_config_map", reject)
    check = PropagationCheck(ApiClient())
    check.require()
    check.require()
    messages = [record for record in caplog.records if record.name == "thale.kserve.propagation"]
    assert [message.error for message in messages] == [f"{status} {reason}: {remedy}"]  # type: ignore[attr-defined]
