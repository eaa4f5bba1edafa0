"""Requests with an idempotency key: the first one runs and its response is stored, a retry returns the stored one.

Only successful responses are stored. A failed request runs again with the same key, and a client that disconnects ends
its request, so its retry is a new request.
"""

import hashlib
import uuid
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from thale.errors import IdempotencyKeyInUseError, IdempotencyKeyReusedError
from thale.facade.api.upload import admit_upload, stream_body
from thale.facade.limits.idempotency_key import (
    IDEMPOTENCY_KEY_FIELD,
    ScopedKey,
    parse_key,
    request_fingerprint,
)
from thale.facade.limits.response_store import MAX_RESPONSE_BYTES, Headers, ResponseStore, StoredResponse
from thale.facade.pipeline import Pipeline
from thale.facade.settings import FacadeSettings
from thale.telemetry import metrics

REPLAYED_FIELD = "Idempotent-Replayed"
"""Response field of a stored response, as in the APIs of Stripe and others. The draft defines none."""
_RETRY_AFTER_S = 2
_MAX_FRAMING_BYTES = 2**20
"""Maximum size of a request without its images, as in `v2`."""


class StoredResponseFound(Exception):  # noqa: N818 (no error: the response of the request is known)
    """The end of a request whose response is stored."""

    def __init__(self, stored: StoredResponse) -> None:
        self.stored = stored

    def response(self) -> Response:
        """Return the stored response."""
        response = Response(self.stored.body, self.stored.status)
        response.raw_headers = [*self.stored.headers, (REPLAYED_FIELD.lower().encode(), b"true")]
        return response


class IdempotentRequest:
    """First request with an idempotency key, from the first byte of the body to the last byte of the response."""

    def __init__(self, store: ResponseStore, key: ScopedKey, fingerprint: str) -> None:
        self._store = store
        self._key = key
        self._fingerprint = fingerprint
        self._token = uuid.uuid4().hex
        self._digest = hashlib.sha256()
        self._is_body_complete = False
        self._status = 0
        self._headers: Headers = ()
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_held = False

    async def begin(self) -> StoredResponse | None:
        """Hold the key, or return the stored response of the key.

        Raises:
            IdempotencyKeyInUseError: If the first request with this key is in progress.
            IdempotencyKeyReusedError: If the stored response belongs to another path, query or content type.
                `begin_idempotent_request` compares the body.
        """
        beginning = await self._store.begin(self._key, self._token)
        if beginning == "running":
            raise IdempotencyKeyInUseError(_RETRY_AFTER_S)
        if isinstance(beginning, StoredResponse):
            if beginning.request != self._fingerprint:
                raise IdempotencyKeyReusedError
            return beginning
        self._is_held = True
        return None

    def observe_received(self, message: Message) -> None:
        """Add a part of the body to its digest."""
        if message["type"] == "http.request":
            self._digest.update(message.get("body", b""))
            self._is_body_complete = not message.get("more_body", False)

    async def observe_sent(self, message: Message) -> None:
        """Record a part of the response. The last part stores it, before the client receives it."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message["headers"])
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self._body_bytes += len(body)
            if self._body_bytes <= MAX_RESPONSE_BYTES:
                self._body.append(body)
            if not message.get("more_body", False):
                await self._save()

    async def finish(self) -> None:
        """Release the key, unless the response is stored."""
        if self._is_held:
            self._is_held = False
            await self._store.abandon(self._key, self._token)

    async def _save(self) -> None:
        is_storable = HTTPStatus.OK <= self._status < HTTPStatus.MULTIPLE_CHOICES and self._is_body_complete
        if not is_storable or self._body_bytes > MAX_RESPONSE_BYTES:
            return
        response = StoredResponse(
            self._fingerprint, self._digest.hexdigest(), self._status, self._headers, b"".join(self._body)
        )
        self._is_held = False
        await self._store.save(self._key, self._token, response)


async def begin_idempotent_request(request: Request, store: ResponseStore, caller: str) -> IdempotentRequest | None:
    """Return the request if it has an idempotency key and runs for the first time, or None if it has no key.

    Raises:
        StoredResponseFound: If it is a retry. Its body was read and equals the first one.
        IdempotencyKeyInUseError: If the first request is in progress.
        IdempotencyKeyReusedError: If the first request had another content.
        ParameterError: If the key is invalid.
        RequestError: If the body of a retry cannot be read.
    """
    key = parse_key(request.headers.getlist(IDEMPOTENCY_KEY_FIELD), caller)
    if key is None:
        return None
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    fingerprint = request_fingerprint(request.method, path, scope["query_string"], scope["headers"])
    idempotent_request = IdempotentRequest(store, key, fingerprint)
    try:
        stored = await idempotent_request.begin()
        if stored is not None and await _digest_body(request) != stored.body_digest:
            raise IdempotencyKeyReusedError
    except IdempotencyKeyInUseError:
        metrics.IDEMPOTENT_REQUESTS.labels("in_use").inc()
        raise
    except IdempotencyKeyReusedError:
        metrics.IDEMPOTENT_REQUESTS.labels("reused").inc()
        raise
    metrics.IDEMPOTENT_REQUESTS.labels("started" if stored is None else "replayed").inc()
    if stored is None:
        return idempotent_request
    raise StoredResponseFound(stored)


async def _digest_body(request: Request) -> str:
    """Return the digest of the body, read within the limits of an upload and without keeping it."""
    settings: FacadeSettings = request.app.state.settings
    pipeline: Pipeline = request.app.state.pipeline
    max_bytes = settings.max_body_bytes * 4 // 3 + _MAX_FRAMING_BYTES
    digest = hashlib.sha256()
    with admit_upload(request, pipeline.admission, max_bytes):
        async for chunk in stream_body(request, settings, max_bytes):
            digest.update(chunk)
    return digest.hexdigest()
