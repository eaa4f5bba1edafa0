"""Access tokens of Entra ID: signature, issuer, audience, tenant and lifetime, and the scopes of their roles.

PyJWT parses and verifies the tokens. https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from thale.auth.last_known_value import LastKnownValue
from thale.auth.principal import Principal, Scope
from thale.auth.signing_keys import SigningKeys
from thale.errors import UnauthenticatedError

SCOPES: Mapping[str, Scope] = {"Thale.Read": "read", "Thale.Predict": "predict", "Thale.Admin": "admin"}
"""Scopes by app role (claim `roles`) and by delegated permission (claim `scp`)."""
_ALL_SCOPES = frozenset[Scope](("read", "predict", "admin"))
_ALGORITHM = "RS256"
_REQUIRED_CLAIMS = ["exp", "nbf", "iat", "iss", "aud", "tid", "oid"]
_LEEWAY_S = 60
_MAX_VERIFIED = 1024
_REFRESH_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class _VerifiedToken:
    principal: Principal
    key: RSAPublicKey
    expires: float


class EntraTokens:
    """Verifies the tokens of one tenant for one audience.

    Verified tokens are cached by their digest until they expire, or until their signing key is withdrawn.
    """

    def __init__(self, signing_keys: LastKnownValue[SigningKeys], tenant_id: str, audience: str) -> None:
        self.signing_keys = signing_keys
        self._tenant_id = tenant_id
        self._audience = audience
        self._verified: OrderedDict[bytes, _VerifiedToken] = OrderedDict()

    async def authenticate(self, token: str) -> Principal:
        """Return the caller of a token.

        Raises:
            UnauthenticatedError: If the token is not valid.
            AuthenticationUnavailableError: If the signing keys of the tenant are unknown.
        """
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = await self._verify(token)
            self._verified[digest] = verified
            if len(self._verified) > _MAX_VERIFIED:
                self._verified.popitem(last=False)
        elif not self._is_still_valid(verified):
            del self._verified[digest]
            return await self.authenticate(token)
        else:
            self._verified.move_to_end(digest)
        return verified.principal

    def _is_still_valid(self, verified: _VerifiedToken) -> bool:
        return time.time() < verified.expires and verified.key in self.signing_keys.get().keys.values()

    async def _verify(self, token: str) -> _VerifiedToken:
        key = await self._find_key(_key_id(token))
        issuer = self.signing_keys.get().issuer
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=issuer,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED_CLAIMS, "strict_aud": True},
            )
        # No `from error`: the text of some errors of PyJWT contains claims.
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the token has expired: request a new one", reason="expired") from None
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(
                f"the token is not valid ({type(error).__name__}): request one for this API from its tenant"
            ) from None
        object_id = claims["oid"]
        if claims["tid"] != self._tenant_id or claims.get("ver") != "2.0" or not isinstance(object_id, str):
            raise UnauthenticatedError(
                "the token is not a v2.0 token of this server's tenant: request one for this API from that tenant"
            )
        principal = Principal(f"entra:{object_id}", str(claims.get("name", object_id)), _granted_scopes(claims))
        return _VerifiedToken(principal, key, float(claims["exp"]) + _LEEWAY_S)

    async def _find_key(self, key_id: str) -> RSAPublicKey:
        """Return a signing key. Read the keys again if it is unknown, at most once in five minutes.

        Tokens with random key ids therefore cause at most one read in five minutes.

        Raises:
            UnauthenticatedError: If no signing key has this id.
            AuthenticationUnavailableError: If the signing keys of the tenant are unknown.
        """
        key = self.signing_keys.get().keys.get(key_id)
        if key is None and (read := self.signing_keys.request_read()) is not None:
            await asyncio.wait([asyncio.wrap_future(read)], timeout=_REFRESH_TIMEOUT_S)
            key = self.signing_keys.get().keys.get(key_id)
        if key is None:
            raise UnauthenticatedError("the token has an unknown signing key: request a new token", reason="unknown")
        return key


def _key_id(token: str) -> str:
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise UnauthenticatedError(
            "the credential is neither an API key nor a token: send one of them", reason="malformed"
        ) from None
    key_id = header.get("kid")
    if header.get("alg") != _ALGORITHM or not isinstance(key_id, str) or not key_id:
        raise UnauthenticatedError(f"the token is not signed with {_ALGORITHM} and a key id: request one from Entra ID")
    return key_id


def _granted_scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Return the scopes of a token.

    A delegated token has the permissions of the client (`scp`) and, if the user has app roles, those of the user
    (`roles`). The client then gets the scopes that both have. A permission that is not in `SCOPES`, such as `access`,
    limits nothing.
    """
    roles, permissions = claims.get("roles"), claims.get("scp")
    by_role = _scopes_of(roles if isinstance(roles, list) else [])
    by_permission = _scopes_of(permissions.split(" ") if isinstance(permissions, str) else [])
    if by_role and by_permission:
        return _expand(by_role) & _expand(by_permission)
    return by_role or by_permission


def _scopes_of(names: list[Any]) -> frozenset[Scope]:
    return frozenset(SCOPES[name] for name in names if isinstance(name, str) and name in SCOPES)


def _expand(scopes: frozenset[Scope]) -> frozenset[Scope]:
    return _ALL_SCOPES if "admin" in scopes else scopes
