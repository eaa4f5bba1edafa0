"""Authentication of requests: the caller of a request, and the scope that a route requires.

    @router.get("/v1/models", dependencies=[READ])

The dependency runs before the query is validated and before any byte of the body is read. It sets
`request.state.principal`. Routes without it are open: health checks, because Kubernetes and load balancers probe them
without a credential; the index, /v1/sign-in, /v2, /openapi.json and /problems/{code}, because a client needs them to
learn how to authenticate. None of them names a caller. /health/ready gives its reasons in detail to callers with the
scope `read`.
"""

import re
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from thale.auth.authenticator import Authenticator, Method, credential_method
from thale.auth.principal import LOCAL, Principal, Scope
from thale.errors import (
    AuthenticationUnavailableError,
    ForbiddenError,
    RequestError,
    UnauthenticatedError,
)
from thale.facade.settings import FacadeSettings
from thale.host.loopback import is_loopback
from thale.telemetry import metrics

_MAX_CREDENTIAL_LENGTH = 16_384
"""Tokens of Entra ID have up to about 8 kB."""
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750
_SEND_A_CREDENTIAL = "send an API key or a token as `Authorization: Bearer …`"


class _Authentication(SecurityBase):
    """Dependency that authenticates the caller, and the security scheme of the OpenAPI document.

    It reads the header itself: a dependency of its own for the credential takes 0.03 ms more.
    """

    scheme_name = "bearer"
    model = HTTPBearerModel(
        bearerFormat="API key or Entra ID access token",
        description="An API key (`thale keys create`), or an access token of Entra ID for this API.",
    )

    async def __call__(self, request: Request, required: SecurityScopes) -> None:
        """Set `request.state.principal` to the caller of the request, and check the scope of the route."""
        credential = _bearer_credential(request)
        authenticator: Authenticator | None = request.app.state.authenticator
        method: Method = "none" if not credential else credential_method(credential)
        try:
            if authenticator is None:
                _reject_foreign_pages(request)
                principal = LOCAL
            else:
                principal = await _verify(authenticator, credential)
            request.state.principal = principal
            _require_scopes(principal, required)
        except RequestError as error:
            metrics.AUTHENTICATIONS.labels(method, _outcome(error)).inc()
            raise
        metrics.AUTHENTICATIONS.labels(method, "ok").inc()


_authenticate = _Authentication()
READ = Security(_authenticate, scopes=["read"])
PREDICT = Security(_authenticate, scopes=["predict"])


async def is_authorised(request: Request, scope: Scope) -> bool:
    """Return True if the request of an open route has a credential with a scope, or no authentication is configured."""
    authenticator: Authenticator | None = request.app.state.authenticator
    try:
        if authenticator is None:
            _reject_foreign_pages(request)
            return True
        principal = await _verify(authenticator, _bearer_credential(request))
    except RequestError:
        return False
    return principal.has_scope(scope)


def _bearer_credential(request: Request) -> str | None:
    """Return the credential, "" if the header is not one bearer credential, or None if there is no header."""
    headers = request.headers.getlist("authorization")
    if not headers:
        return None
    scheme, _, credential = headers[0].partition(" ")
    credential = credential.strip(" ")
    if (
        len(headers) > 1
        or scheme.lower() != "bearer"
        or len(credential) > _MAX_CREDENTIAL_LENGTH
        or _CREDENTIAL.fullmatch(credential) is None
    ):
        return ""
    return credential


async def _verify(authenticator: Authenticator, credential: str | None) -> Principal:
    if credential is None:
        raise UnauthenticatedError(f"the request has no credential: {_SEND_A_CREDENTIAL}", reason="missing")
    if credential == "":
        raise UnauthenticatedError(
            f"the Authorization header is not a bearer credential: {_SEND_A_CREDENTIAL}", reason="malformed"
        )
    return await authenticator.authenticate(credential)


def _require_scopes(principal: Principal, required: SecurityScopes) -> None:
    scopes: tuple[Scope, ...] = tuple(required.scopes)  # type: ignore[arg-type]  # of READ and PREDICT
    for scope in scopes:
        if not principal.has_scope(scope):
            raise ForbiddenError(
                f"the credential lacks the scope {scope!r}: ask the operator for a key or a role with it", scope
            )


def _reject_foreign_pages(request: Request) -> None:
    """Reject requests of web pages from other origins. On loopback without authentication, any page could send them.

    A page whose name an attacker resolves to 127.0.0.1 (DNS rebinding) sends that name as Host. Any other page sends
    its own Origin with each POST, also with those that need no CORS preflight.

    Raises:
        ForbiddenError: If Host is not a loopback name, or Origin is neither this server nor in `cors_origins`.
    """
    host = request.headers.get("host", "")
    if not is_loopback(_hostname(f"//{host}")):
        raise ForbiddenError(
            "the Host header is not a loopback name: open the server as http://127.0.0.1 or http://localhost, "
            "or require API keys (`thale keys create`)"
        )
    settings: FacadeSettings = request.app.state.settings
    allowed = (f"{request.scope['scheme']}://{host}".lower(), *settings.cors_origins)
    if any(origin.lower() not in allowed for origin in request.headers.getlist("origin")):
        raise ForbiddenError(
            "the request comes from a web page of another origin: list its origin in THALE_CORS_ORIGINS"
        )


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _outcome(error: RequestError) -> str:
    if isinstance(error, UnauthenticatedError):
        return error.reason
    return "unavailable" if isinstance(error, AuthenticationUnavailableError) else "forbidden"
