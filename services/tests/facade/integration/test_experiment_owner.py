"""Only the caller that created an experiment, and administrators, may change or delete it."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.facade_without_models import settings_of
from tests.support.running_facade import running_facade
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key

pytestmark = pytest.mark.integration


def test_only_owner_and_administrator_change_or_delete(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ApiKeyFile(tmp_path / "api-keys.json")
    scopes = {"owner": {"read", "predict"}, "other": {"read", "predict"}, "admin": {"read", "predict", "admin"}}
    keys = {
        name: create_key(store, name, frozenset(granted), timedelta(days=1), datetime.now(UTC))[0].text
        for name, granted in scopes.items()
    }
    settings = settings_of(
        tmp_path, api_keys_path=tmp_path / "api-keys.json", experiments_path=tmp_path / "experiments"
    )
    caplog.set_level(logging.INFO, logger="thale")
    with running_facade(settings) as facade:

        def send(caller: str, method: str, path: str, body: object = None) -> int:
            headers = {"Authorization": f"Bearer {keys[caller]}", "Content_Type": "application/json"}
            return facade.request(method, path, None if body is None else json.dumps(body).encode(), **headers).status

        for name in ("a", "b"):
            assert send("owner", "POST", "/v1/experiments", {"name": name}) == 200
        change = {"retain_until": "2031-12-31"}
        assert send("other", "PATCH", "/v1/experiments/a", change) == 403
        assert send("other", "DELETE", "/v1/experiments/a") == 403
        assert send("owner", "PATCH", "/v1/experiments/a", change) == 200
        assert send("admin", "PATCH", "/v1/experiments/a", {"retain_until": None}) == 200
        assert send("owner", "DELETE", "/v1/experiments/a") == 200
        assert send("admin", "DELETE", "/v1/experiments/b") == 200
    deletions = [record.__dict__ for record in caplog.records if record.message == "experiment deleted"]
    callers = [f"key:{text.split('_')[1]}" for text in (keys["owner"], keys["admin"])]
    assert [record["principal"] for record in deletions] == callers
    assert len({record["experiment"] for record in deletions}) == 2
