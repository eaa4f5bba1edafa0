"""A local platform that requires API keys, and the commands of its users."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.support.local_platform import run_platform
from tests.support.sample_images import seedlings
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.client import API_KEY_VARIABLE, Client
from thale.errors import ForbiddenError, UnauthenticatedError

pytestmark = pytest.mark.integration


def test_platform_with_keys_serves_only_their_callers(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, image = tmp_path / "home", tmp_path / "plate.png"
    Image.fromarray(seedlings()).save(image)
    store = ApiKeyFile(home / "api-keys.json")
    now = datetime.now(UTC)
    user, _ = create_key(store, "user", frozenset({"read", "predict"}), timedelta(days=1), now)
    reader, _ = create_key(store, "reader", frozenset({"read"}), timedelta(days=1), now)
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with run_platform(home, weights) as platform:
        with Client(platform.url) as client, pytest.raises(UnauthenticatedError, match="no credential"):
            client.models()
        with Client(platform.url, api_key=reader.text) as client, pytest.raises(ForbiddenError, match="'predict'"):
            client.phenotype(image, mm_per_px=0.25)
        rejected = platform.run("analyze", image, "--out", tmp_path / "rejected", "--mm-per-px", "0.25")
        assert rejected.returncode == 1
        assert "the request has no credential" in rejected.stdout
        monkeypatch.setenv(API_KEY_VARIABLE, user.text)
        measured = platform.run("analyze", image, "--out", tmp_path / "out", "--mm-per-px", "0.25")
        assert measured.returncode == 0, measured.stdout
        assert platform.run("models").returncode == 0
        assert key_owners(platform.process.pid, user.text) == []
    logs = "".join(path.read_text(errors="replace") for path in (home / "logs").rglob("*.log"))
    assert f"key:{user.id}" in logs
    assert not any(key.text[15:] in logs for key in (user, reader))


def key_owners(pid: int, key: str) -> list[list[str]]:
    """Return the commands of the processes whose arguments or environment contain a key."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return [
        process.cmdline()
        for process in processes
        if key in " ".join(process.cmdline()) or key in process.environ().values()
    ]
