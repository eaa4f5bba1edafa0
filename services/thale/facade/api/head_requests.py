"""HEAD requests (RFC 9110, section 9.3.2): the response to GET without its body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SET_BY_THE_ROUTER = ("route", "endpoint", "path_params")


class HeadRequestMiddleware:
    """Serves HEAD with the route of GET. A monitor or `curl --head` otherwise gets 405 from every route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # The server keeps its own scope with HEAD, by which it omits the body too.
        get_scope = {**scope, "method": "GET"}
        try:
            await self._app(get_scope, receive, send_without_body)
        finally:
            scope.update({key: get_scope[key] for key in _SET_BY_THE_ROUTER if key in get_scope})
