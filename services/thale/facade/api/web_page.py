"""The web page: files that `make web` builds, served from memory with a strict Content-Security-Policy.

The page needs no credential: it contains no data. Its requests to the API carry the credential that the user enters, or
a token of Entra ID. Entra ID returns users to a second page, /sign-in, which passes the response on to the first.
"""

import functools
import gzip
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from thale.errors import NotAcceptableError
from thale.facade.api import content_negotiation
from thale.facade.settings import FacadeSettings

FILES = Path(__file__).with_name("web_files")
"""Output folder of `make web`. git ignores it; the wheel and the image contain it."""

HTML = "text/html"
_JSON = "application/json"
_MIN_COMPRESSED_BYTES = 1024
_YEAR_S = 365 * 24 * 3600
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; "  # photographs that the user selected
    "connect-src {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class WebFile:
    """One built file, and its gzip if that is smaller."""

    body: bytes
    compressed: bytes | None
    media_type: str


@functools.cache
def load_files(folder: Path) -> Mapping[str, WebFile]:
    """Return the built files by their path below the folder. Empty if the page is not built."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _read_file(path) for path in paths}


def _read_file(path: Path) -> WebFile:
    body = path.read_bytes()
    compressed = gzip.compress(body, mtime=0) if len(body) >= _MIN_COMPRESSED_BYTES else None
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return WebFile(body, compressed, media_type)


def index_page(request: Request) -> Response | None:
    """Return the page for a client that prefers HTML to JSON, or None: the page is disabled, or not built."""
    settings: FacadeSettings = request.app.state.settings
    index = load_files(FILES).get("index.html") if settings.web_page else None
    if index is None or not _prefers_html(request):
        return None
    return _file_response(request, index, cache_control="no-cache", vary="Accept, Accept-Encoding")


@router.get("/sign-in")
async def sign_in_page(request: Request) -> Response:
    """Return the page to which the authority redirects users. It exists if sign-in by Entra ID is configured."""
    settings: FacadeSettings = request.app.state.settings
    file = load_files(FILES).get("sign-in.html") if settings.web_page else None
    if file is None or settings.entra_web_client_id is None:
        raise HTTPException(404)
    return _file_response(request, file, cache_control="no-cache", vary="Accept-Encoding")


@router.get("/assets/{name}")
async def asset(request: Request, name: str) -> Response:
    """Return a script, style sheet or image of the page. Its name contains a digest of its content."""
    settings: FacadeSettings = request.app.state.settings
    file = load_files(FILES).get(f"assets/{name}") if settings.web_page else None
    if file is None:
        raise HTTPException(404)
    return _file_response(request, file, cache_control=f"public, max-age={_YEAR_S}, immutable", vary="Accept-Encoding")


def _prefers_html(request: Request) -> bool:
    accept = ", ".join(request.headers.getlist("accept"))
    try:
        return content_negotiation.best_media_type(accept, (_JSON, HTML)) == HTML
    except NotAcceptableError:
        return False


def _connect_sources(settings: FacadeSettings) -> str:
    """Return the origins to which the page may send requests: this server, and the authority that issues its tokens."""
    if settings.entra_web_client_id is None:
        return "'self'"
    authority = urlsplit(settings.entra_authority)
    return f"'self' {authority.scheme}://{authority.netloc}"


def _file_response(request: Request, file: WebFile, *, cache_control: str, vary: str) -> Response:
    policy = _CONTENT_SECURITY_POLICY.format(sources=_connect_sources(request.app.state.settings))
    headers = {**_SECURITY_HEADERS, "Content-Security-Policy": policy, "Cache-Control": cache_control, "Vary": vary}
    body = file.body
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", "").lower():
        body, headers["Content-Encoding"] = file.compressed, "gzip"
    return Response(body, media_type=file.media_type, headers=headers)
