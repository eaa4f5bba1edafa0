"""Sign-in at the fake authority: OAuth 2.0 authorization code with PKCE (RFC 7636), and refresh tokens.

The authority redirects each user at once, as for a user who has a session and has given consent.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

USER = {"name": "Anna Berg", "preferred_username": "anna@lab.example"}


class TokenIssuer(Protocol):
    """The fake authority, as far as the sign-in needs it."""

    @property
    def issuer(self) -> str: ...

    def token(self, **changes: Any) -> str: ...


@dataclass
class SignIns:
    """Clients, codes and refresh tokens of the authority."""

    client_id: str
    redirect_uri: str = ""
    """The registered redirect URI. Another one is refused."""
    token_lifetime_s: int = 3600
    denial: str = ""
    """Error with which the user returns, such as access_denied."""
    grants: list[str] = field(default_factory=list)
    """Grant types of the successful token requests."""
    _codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _refresh_tokens: dict[str, str] = field(default_factory=dict)

    def authorize(self, url: str) -> tuple[int, str]:
        """Return the status and the redirect of an authorization request; 400 if a parameter is wrong."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        expected = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
            "response_mode": "fragment",
        }
        wrong = [name for name, value in expected.items() if query.get(name) != value]
        if wrong or not query.get("code_challenge") or "openid" not in query.get("scope", "").split():
            return 400, f"wrong parameters: {wrong}"
        if self.denial:
            response = {"error": self.denial, "error_description": f"AADSTS65004: {self.denial}"}
        else:
            code = secrets.token_urlsafe(32)
            self._codes[code] = query
            response = {"code": code}
        return 302, f"{query['redirect_uri']}#{urlencode({**response, 'state': query['state']})}"

    def redeem(self, issuer: TokenIssuer, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the status and the response of a token request. A code or refresh token is valid once."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        nonce = ""
        if form.get("grant_type") == "authorization_code":
            request = self._codes.pop(form.get("code", ""), None)
            if request is None or not self._is_proof(form, request):
                return 400, {"error": "invalid_grant", "error_description": "AADSTS501481: the code or proof is wrong"}
            nonce, scope = request.get("nonce", ""), request["scope"]
        elif form.get("grant_type") == "refresh_token" and form.get("refresh_token", "") in self._refresh_tokens:
            scope = self._refresh_tokens.pop(form["refresh_token"])
        else:
            return 400, {"error": "invalid_grant", "error_description": "AADSTS700084: the refresh token is not valid"}
        if form.get("client_id") != self.client_id:
            return 400, {"error": "invalid_client", "error_description": "AADSTS700016: unknown client"}
        self.grants.append(form["grant_type"])
        return 200, self._tokens(issuer, nonce, scope)

    def _is_proof(self, form: Mapping[str, str], request: Mapping[str, str]) -> bool:
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return challenge == request["code_challenge"] and form.get("redirect_uri") == request["redirect_uri"]

    def _tokens(self, issuer: TokenIssuer, nonce: str, scope: str) -> dict[str, Any]:
        refresh_token = secrets.token_urlsafe(32)
        self._refresh_tokens[refresh_token] = scope
        access_token = issuer.token(
            roles=["Thale.Predict", "Thale.Read"], scp="access", exp=int(time.time()) + self.token_lifetime_s, **USER
        )
        claims = jwt.decode(access_token, options={"verify_signature": False})
        client_info = json.dumps({"uid": claims["oid"], "utid": claims["tid"]}).encode()
        return {
            "token_type": "Bearer",
            "scope": scope,
            "expires_in": self.token_lifetime_s,
            "access_token": access_token,
            "refresh_token": refresh_token,
            "id_token": issuer.token(aud=self.client_id, nonce=nonce or None, roles=None, **USER),
            "client_info": base64.urlsafe_b64encode(client_info).rstrip(b"=").decode(),
        }
