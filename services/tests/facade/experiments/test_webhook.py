"""Webhook: real HTTP to a local receiver, checked by the libraries of Standard Webhooks and CloudEvents."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cloudevents.http import from_http
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.facade_without_models import settings_of
from tests.support.sample_experiments import failed_job
from thale.experiments.address import StoreAddress
from thale.experiments.store import ExperimentStore
from thale.experiments.webhook_signature import parse_secrets
from thale.facade.experiments.store_client import StoreClient
from thale.facade.experiments.webhook import deliver_events

OLD, NEW = (f"whsec_{base64.b64encode(bytes([value]) * 32).decode()}" for value in (1, 2))


@dataclass
class Receiver:
    """A local receiver: the statuses of its next responses, and the messages that it got."""

    url: str
    statuses: list[int] = field(default_factory=list)
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    redirected: list[str] = field(default_factory=list)
    """Paths of the requests that followed a redirect."""

    def events(self) -> list[tuple[str, str]]:
        found = [from_http(headers, body) for headers, body in self.messages]
        return [(event["type"], event["id"]) for event in found]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = found.statuses.pop(0) if found.statuses else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", found.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            found.redirected.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/events")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.write_text(f"{NEW}\n\n{OLD}\n")
    return path


def deliver(address: StoreAddress, receiver: Receiver, secrets: Path, messages: int) -> None:
    """Deliver events until the receiver has some messages."""

    async def run() -> None:
        client = StoreClient(address)
        async with deliver_events(client, receiver.url, secrets, 0.05), asyncio.timeout(30):
            while len(receiver.messages) < messages:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)  # further messages would arrive now
        client.close()

    asyncio.run(run())


@pytest.mark.slow
def test_events_are_signed_cloud_events(tmp_path: Path, receiver: Receiver, secrets: Path) -> None:
    address = StoreAddress(tmp_path / "experiments")
    store = ExperimentStore.open(address)
    job = failed_job(store, 2)
    deliver(address, receiver, secrets, 3)
    assert [kind for kind, _ in receiver.events()] == ["thale.image.failed"] * 2 + ["thale.job.finished"]
    assert store.outbox.count_waiting() == 0
    store.close()
    for headers, body in receiver.messages:
        for secret in (OLD, NEW):
            Webhook(secret).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(OLD).verify(body + b" ", headers)
        event = from_http(headers, body)
        assert event["specversion"] == "1.0"
        assert headers["webhook-id"] == event["id"]
        assert (event["source"], event["subject"]) == (f"/v1/jobs/{job.id}", job.experiment_id)
    failed = json.loads(receiver.messages[0][1])["data"]
    assert (failed["image"], failed["reason"], failed["job"]) == ("a 0.jpg", "it is damaged", job.id)


@pytest.mark.slow
def test_refused_event_is_sent_again_with_its_id(
    tmp_path: Path, receiver: Receiver, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thale.experiments import event_outbox

    monkeypatch.setattr(event_outbox, "_FIRST_DELAY_S", 0.1)
    address = StoreAddress(tmp_path / "experiments")
    store = ExperimentStore.open(address)
    failed_job(store, 1)
    receiver.statuses += [500, 302]
    deliver(address, receiver, secrets, 4)
    ids = [identifier for _, identifier in receiver.events()]
    assert (len(ids), len(set(ids))) == (4, 2)
    assert receiver.redirected == []
    assert store.outbox.count_waiting() == 0
    store.close()


@pytest.mark.slow
def test_receiver_that_is_away_loses_nothing(tmp_path: Path, receiver: Receiver, secrets: Path) -> None:
    address = StoreAddress(tmp_path / "experiments")
    store = ExperimentStore.open(address)
    failed_job(store, 1)

    async def run() -> None:
        client = StoreClient(address)
        async with deliver_events(client, "http://127.0.0.1:9/", secrets, 0.05), asyncio.timeout(30):
            while store.outbox.claim() is not None:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
        client.close()

    asyncio.run(run())
    assert store.outbox.count_waiting() == 2
    store.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no secret"),
        ("whsec_c2hvcnQ=", "line 1 is no secret"),
        (f"{OLD}\n{base64.b64encode(bytes(32)).decode()}", "line 2 is no secret"),
        ("whsec_%%%", "line 1 is no secret"),
    ],
)
def test_invalid_secrets_are_refused_without_showing_them(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        parse_secrets(text)
    assert "c2hvcnQ" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"webhook_url": "http://example.org/x"}, "use an https address"),
        ({"webhook_url": "https://user:word@example.org/x"}, "without credentials"),
        ({"webhook_url": "https://example.org/x", "webhook_secrets_path": None}, "a webhook needs both"),
        ({"webhook_url": "https://example.org/x", "experiments_path": None}, "set THALE_EXPERIMENTS_PATH"),
        ({"webhook_secrets_path": Path("/nothing/here")}, "cannot be read"),
    ],
)
def test_settings_refuse_an_invalid_webhook(
    fields: dict[str, object], message: str, tmp_path: Path, secrets: Path
) -> None:
    valid = {"webhook_url": "https://example.org/x", "webhook_secrets_path": secrets, "experiments_path": tmp_path}
    assert settings_of(tmp_path, **valid).webhook_url == "https://example.org/x"
    with pytest.raises(ValidationError, match=message):
        settings_of(tmp_path, **{**valid, **fields})
