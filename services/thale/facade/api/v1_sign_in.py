"""Route /v1/sign-in: the ways in which users of a web page can sign in. It is open, and nothing in it is secret."""

from fastapi import APIRouter, Request

from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.settings import FacadeSettings
from thale.schemas import FrozenModel

router = APIRouter()


class EntraSignIn(FrozenModel):
    """Sign-in by Entra ID: the parameters of OAuth 2.0 with authorization code and PKCE."""

    authority: str
    """Address of the authority with the tenant."""
    client_id: str
    """Client id of the web page's app registration."""
    scope: str
    """Scope of access tokens for this API."""


class SignInMethods(FrozenModel):
    """Ways in which users can sign in."""

    is_required: bool
    """True if requests need a credential."""
    api_key: bool
    """True if this server accepts API keys."""
    entra: EntraSignIn | None
    """Sign-in by Entra ID. None: not configured for web pages."""


@router.get(
    "/v1/sign-in",
    operation_id="getSignInMethods",
    tags=["health"],
    summary="Describe how users sign in",
    responses=PROBLEM_RESPONSES,
)
async def sign_in_methods(request: Request) -> SignInMethods:
    """Return the configured ways to sign in, for web pages of this server."""
    settings: FacadeSettings = request.app.state.settings
    entra = None
    if settings.entra_web_client_id is not None:
        entra = EntraSignIn(
            authority=f"{settings.entra_authority}/{settings.entra_tenant_id}",
            client_id=settings.entra_web_client_id,
            scope=f"{settings.entra_audience}/.default",
        )
    return SignInMethods(
        is_required=settings.requires_authentication,
        api_key=settings.api_keys_path is not None or settings.key_vault is not None,
        entra=entra,
    )
