"""Benchmark of authentication and caller limits: the time that they add to one POST request, without network.

One process sends the same request in turn to three routes that return an empty response. One has no authentication, one
an API key, and one an API key and caller limits. The order rotates. Differences are computed within a round, so that a
slow change of the load of the machine cancels out.

    python benchmarks/caller_limits.py --rounds 3000
    python benchmarks/caller_limits.py --rounds 3000 --redis redis://127.0.0.1:6379/0
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Message

from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.facade.api.authentication import PREDICT
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.middleware import RequestContextMiddleware
from thale.facade.authentication_sources import open_authenticator
from thale.facade.limits.running_limiter import running_limiter
from thale.facade.settings import FacadeSettings

PLAIN, KEY, LIMITS = "plain", "API key", "API key and limits"


async def _respond(request: Request) -> Response:
    return Response()


async def _build_app(settings: FacadeSettings, route_class: type[APIRoute], stack: AsyncExitStack) -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    router = APIRouter(route_class=route_class)
    router.post("/open")(_respond)
    router.post("/guarded", dependencies=[PREDICT])(_respond)
    app.include_router(router)
    app.add_middleware(RequestContextMiddleware)
    app.state.settings = settings
    app.state.authenticator = await stack.enter_async_context(open_authenticator(settings))
    running = await stack.enter_async_context(running_limiter(settings))
    app.state.caller_limiter, app.state.response_store = running.limiter, running.responses
    return app


async def _post(app: FastAPI, path: str, credential: str) -> tuple[float, float]:
    """Return the wall time and the CPU time of one request, in milliseconds."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {credential}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    started, cpu_started = time.perf_counter(), time.process_time()
    await app(scope, receive, send)
    await asyncio.sleep(0)  # calls in the background make progress, as between two requests of a server
    times = (time.perf_counter() - started) * 1e3, (time.process_time() - cpu_started) * 1e3
    if statuses != [200]:
        raise SystemExit(f"{path} returned {statuses}")
    return times


async def _measure(rounds: int, limit_store_url: str | None) -> Mapping[str, Sequence[tuple[float, float]]]:
    times: dict[str, list[tuple[float, float]]] = {PLAIN: [], KEY: [], LIMITS: []}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = ApiKeyFile(folder / "api-keys.json")
        key, _ = create_key(store, "benchmark", frozenset({"predict"}), timedelta(days=1), datetime.now(UTC))
        settings = FacadeSettings(
            release_state_path=folder / "release-state.json",
            api_keys_path=folder / "api-keys.json",
            caller_rate_per_s=10_000,
            caller_burst=1_000_000,
            caller_daily_requests=10**9,
            limit_store_url=limit_store_url,
            limit_store_timeout_s=1,
        )
        plain_app = await _build_app(settings, APIRoute, stack)
        limited_app = await _build_app(settings, LimitedRoute, stack)
        requests = [(PLAIN, plain_app, "/open"), (KEY, plain_app, "/guarded"), (LIMITS, limited_app, "/guarded")]
        for index in range(rounds + rounds // 10):
            for name, app, path in requests:
                measured = await _post(app, path, key.text)
                if index >= rounds // 10:  # the first rounds warm the caches
                    times[name].append(measured)
            requests.append(requests.pop(0))
    return times


def main() -> None:
    """Print the median times and the median differences within a round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--redis", help="URL of the shared limit store; in process by default")
    arguments = parser.parse_args()
    times = asyncio.run(_measure(arguments.rounds, arguments.redis))
    print(f"{arguments.rounds} rounds, limits in {arguments.redis or 'process'}; wall and CPU time")  # noqa: T201
    for name, measured in times.items():
        differences = [
            tuple(value - plain for value, plain in zip(values, plains, strict=True))
            for values, plains in zip(measured, times[PLAIN], strict=True)
        ]
        wall, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        added, cpu_added = (statistics.median(column) for column in zip(*differences, strict=True))
        mean = statistics.fmean(difference[1] for difference in differences)
        print(  # noqa: T201
            f"{name:20} median {wall:.3f} ms, {cpu:.3f} ms; added {added:.3f} ms, {cpu_added:.3f} ms; "
            f"mean of added CPU time {mean:.3f} ms"
        )


if __name__ == "__main__":
    main()
