"""Error responses of TorchServe.

TorchServe's frontend returns `{"code": status, "type": …, "message": …}`. A thale worker returns
`{"code": error code, "message": …}` for an image that it rejects.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

_UNAVAILABLE_STATUSES = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE})
"""503 if no worker is ready or the job queue is full, and 507 if the worker died."""
_WORKER_DIED = "Worker died."
"""The message if the worker died. Its status is 500 as often as 507."""
_HANDLER_RAISED = "Prediction failed"
"""The message with status 503 if the handler raised. The worker is alive and would fail again on the same image."""


@dataclass(frozen=True)
class TorchServeError:
    """One error response, with an empty `body` if the response is not a JSON object."""

    status: int
    body: Mapping[str, object]

    @classmethod
    def from_response(cls, status: int, data: bytes) -> Self:
        """Parse an error response."""
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        return cls(status, body if isinstance(body, dict) else {})

    @property
    def code(self) -> str:
        """The error code of a thale worker, or TorchServe's status as text. Empty if missing."""
        return str(self.body.get("code", ""))

    @property
    def message(self) -> str:
        """The message. Empty if missing."""
        return str(self.body.get("message", ""))

    @property
    def is_worker_unavailable(self) -> bool:
        """True if no worker processed the request, so that a retry may succeed."""
        if self.message == _WORKER_DIED:
            return True
        return self.status in _UNAVAILABLE_STATUSES and self.message != _HANDLER_RAISED

    @property
    def is_unknown_version(self) -> bool:
        """True if TorchServe does not have the model version, or has not loaded it yet."""
        return self.status == HTTPStatus.NOT_FOUND

    def __str__(self) -> str:
        """Return the message and the status."""
        return f"{self.message} (status {self.status})" if self.message else f"status {self.status}"
