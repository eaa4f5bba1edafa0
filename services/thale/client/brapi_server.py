"""Connection to a BrAPI v2.1 server of another operator: pages of lists, and batches of new objects."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from thale.errors import ParameterError, ServerUnreachableError, UnexpectedResponseError
from thale.host.loopback import is_loopback

TOKEN_VARIABLE = "THALE_BRAPI_TOKEN"  # noqa: S105 (the name of the variable)
"""Environment variable with the bearer token. A command-line option would be visible to other users."""
PATH = "/brapi/v2"
_PAGE_SIZE = 1000
_MAX_PAGES = 100_000
_TIMEOUT = urllib3.Timeout(connect=10.0, read=120.0)
_GET_RETRY = urllib3.Retry(
    total=5,
    redirect=0,
    status_forcelist=(429, 500, 502, 503, 504),
    backoff_factor=0.5,
    backoff_max=10,
    retry_after_max=60,
    raise_on_status=False,
)
# A POST that the server may have received is not repeated here: the caller first reads what the server has.
_POST_RETRY = _GET_RETRY.new(read=0, other=0, allowed_methods=None, status_forcelist=(429,))
Body = Mapping[str, Any]


class BrapiServer:
    """A BrAPI server that accepts new objects. It follows no redirects, so no other server receives the token.

    Args:
        url: Address of the server, with or without /brapi/v2.
        token: Bearer token, or an empty text.

    Raises:
        ParameterError: If the address is no https address. http is permitted for this machine.
    """

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        host = address.hostname or ""
        if address.scheme not in ("http", "https") or not host or "@" in address.netloc or address.query:
            raise ParameterError(f"{url!r} is no address of a BrAPI server: give it as https://HOST{PATH}")
        if address.scheme == "http" and not is_loopback(host):
            raise ParameterError(f"{url} is not encrypted, so that others can read the token: use its https address")
        if not token.isascii() or not token.isprintable():
            raise ParameterError(f"the token contains invalid characters: check {TOKEN_VARIABLE}")
        path = address.path.rstrip("/")
        self.url = f"{address.scheme}://{address.netloc}{path if path.endswith('/v2') else path + PATH}"
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def writable_services(self) -> set[str]:
        """Return the services that accept new objects.

        Raises:
            ServerUnreachableError, UnexpectedResponseError: If the server is no BrAPI server.
        """
        calls = self._send("GET", "serverinfo").get("calls", ())
        return {call["service"].strip("/") for call in calls if "POST" in call.get("methods", ())}

    def list(self, path: str, **query: str) -> Iterator[Body]:
        """Yield the objects of a list. Raises as `writable_services`."""
        for page in range(_MAX_PAGES):
            parameters = {**query, "page": str(page), "pageSize": str(_PAGE_SIZE)}
            body = self._request("GET", f"{path}?{urlencode(parameters)}")
            data = self._field(body, "result", "data")
            yield from data
            if not data or page + 1 >= self._field(body, "metadata", "pagination").get("totalPages", 0):
                return
        raise UnexpectedResponseError(f"{self.url}/{path} has more than {_MAX_PAGES} pages")

    def create(self, path: str, items: Sequence[Body]) -> Sequence[Body]:
        """Create objects, and return them as the server stored them, in the same order.

        Raises:
            ServerUnreachableError: If it is unknown whether the server created them.
            UnexpectedResponseError: If the server refused them.
        """
        created: Sequence[Body] = self._send("POST", path, json.dumps(items).encode()).get("data", ())
        if len(created) != len(items):
            raise UnexpectedResponseError(
                f"{self.url}/{path} returned {len(created)} objects for {len(items)} new ones"
            )
        return created

    def _send(self, method: str, path: str, body: bytes | None = None) -> Body:
        found: Body = self._field(self._request(method, path, body), "result")
        return found

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        retries = _GET_RETRY if body is None else _POST_RETRY
        address = f"{self.url}/{path}"
        try:
            response = self._pool.request(method, address, body=body, headers=headers, retries=retries, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise ServerUnreachableError(
                f"no response from {self.url} ({cause}): check the address, and retry"
            ) from error
        text = response.data[:300].decode(errors="replace")
        if response.status >= 500:
            raise ServerUnreachableError(f"{address} failed with {response.status}: {text}. Retry later")
        if response.status not in (200, 201):
            remedy = f": check {TOKEN_VARIABLE}" if response.status in (401, 403) else ""
            raise UnexpectedResponseError(f"{address} returned {response.status} ({text}){remedy}")
        try:
            return json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise UnexpectedResponseError(f"{address} returned no JSON: is it a BrAPI v2 server?") from error

    def _field(self, body: Any, *names: str) -> Any:
        for name in names:
            body = body.get(name) if isinstance(body, dict) else None
        if body is None:
            raise UnexpectedResponseError(f"{self.url} returned no {'.'.join(names)}: is it a BrAPI v2 server?")
        return body
