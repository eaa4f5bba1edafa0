"""Synchronous client of an ASGI app in this process, without its lifespan."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
from starlette.types import ASGIApp

Headers = Mapping[str, str] | list[tuple[str, str]] | list[tuple[bytes, bytes]]


class AsgiClient:
    """Sends each request in an event loop of its own, so that a handler may send requests as well."""

    def __init__(self, app: ASGIApp, base_url: str = "http://testserver") -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._base_url = base_url

    def get(self, url: str, headers: Headers | None = None) -> httpx.Response:
        return self._request("GET", url, None, headers)

    def head(self, url: str, headers: Headers | None = None) -> httpx.Response:
        return self._request("HEAD", url, None, headers)

    def options(self, url: str, headers: Headers | None = None) -> httpx.Response:
        return self._request("OPTIONS", url, None, headers)

    def post(self, url: str, content: bytes | None = None, headers: Headers | None = None) -> httpx.Response:
        return self._request("POST", url, content, headers)

    def _request(self, method: str, url: str, content: bytes | None, headers: Headers | None) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=self._base_url) as client:
                return await client.request(method, url, content=content, headers=headers)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, send()).result()
