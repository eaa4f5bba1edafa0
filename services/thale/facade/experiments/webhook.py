"""Webhook of the operator: events of jobs as CloudEvents, signed by the scheme of Standard Webhooks.

CloudEvents 1.0, HTTP protocol binding, structured mode (https://github.com/cloudevents/spec). An event is sent until
the receiver returns 2xx, at most for `DELIVERY_DAYS`. A receiver may get it more than once, with the same id.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from thale.errors import ExperimentStoreError
from thale.experiments.webhook_signature import parse_secrets, sign
from thale.facade.experiments.background import background_task
from thale.facade.experiments.store_client import StoreClient
from thale.telemetry import metrics

if TYPE_CHECKING:
    from thale.experiments.event_outbox import OutgoingEvent

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/cloudevents+json"
EVENT_TYPES = {
    "finished": "thale.job.finished",
    "failed": "thale.image.failed",
    "quarantined": "thale.image.quarantined",
}
START_DELAY_S, POLL_S = 5.0, 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


def to_cloud_event(event: "OutgoingEvent") -> dict[str, object]:
    """Return an event as a CloudEvent in JSON."""
    return {
        "specversion": "1.0",
        "id": f"{event.job_id}-{event.id}",
        "source": f"/v1/jobs/{event.job_id}",
        "type": EVENT_TYPES[event.type],
        "subject": event.experiment_id,
        "time": event.created_at,
        "datacontenttype": "application/json",
        "data": {"job": event.job_id, "experiment": event.experiment_id, **event.data},
    }


class Webhook:
    """Sends events to one receiver."""

    def __init__(self, url: str, secrets_path: Path, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._secrets_path = secrets_path
        self._session = session

    async def send(self, event: "OutgoingEvent") -> bool:
        """Send an event. Return True if the receiver accepted it."""
        try:
            secrets = parse_secrets(await asyncio.to_thread(self._secrets_path.read_text))
        except (OSError, ValueError) as error:
            logger.error("webhook secrets unreadable", extra={"path": str(self._secrets_path), "error": str(error)})
            return False
        message = to_cloud_event(event)
        body, now = json.dumps(message).encode(), int(time.time())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": str(message["id"]),
            "webhook-timestamp": str(now),
            "webhook-signature": sign(secrets, str(message["id"]), now, body),
        }
        request = self._session.post(self._url, data=body, headers=headers, allow_redirects=False, timeout=_TIMEOUT)
        try:
            async with request as response:  # its body is not read
                if 200 <= response.status < 300:
                    return True
                logger.warning("webhook refused an event", extra={"status": response.status})
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("webhook unreachable", extra={"error": type(error).__name__})
        return False


@asynccontextmanager
async def deliver_events(
    store: StoreClient, url: str | None, secrets_path: Path | None, poll_s: float = POLL_S
) -> AsyncIterator[None]:
    """Deliver events for the duration of the context. Does nothing without a receiver."""
    if url is None or secrets_path is None:
        yield
        return
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        background_task(_run(store, Webhook(url, secrets_path, session), poll_s)),
    ):
        yield


async def _run(store: StoreClient, webhook: Webhook, poll_s: float) -> None:
    await asyncio.sleep(min(START_DELAY_S, poll_s))
    while True:
        delay_s = poll_s
        try:
            if await _deliver_next(store, webhook):
                delay_s = 0.0
        except ExperimentStoreError as error:
            logger.warning("experiment store unavailable", extra={"code": error.code})
        # Isolation boundary between events: the delivery must outlive an unexpected error.
        except Exception:
            logger.exception("delivery of an event failed unexpectedly")
        await asyncio.sleep(delay_s)


async def _deliver_next(store: StoreClient, webhook: Webhook) -> bool:
    """Deliver the next due event. Return False if no event is due, or it was not accepted."""
    event = await store.call(lambda opened: opened.outbox.claim())
    if event is not None:
        is_accepted = await webhook.send(event)
        metrics.WEBHOOK_EVENTS.labels("delivered" if is_accepted else "failed").inc()
        if is_accepted:
            await store.call(lambda opened: opened.outbox.mark_delivered(event))
            return True
    metrics.WEBHOOK_WAITING.set(await store.call(lambda opened: opened.outbox.count_waiting()))
    return False
