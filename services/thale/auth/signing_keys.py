"""Signing keys of an Entra ID tenant (JWKS), read from its OpenID Connect discovery document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from thale.errors import ServerUnreachableError, UnexpectedResponseError

_MAX_BYTES = 2**20
_MIN_KEY_BITS = 2048
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_RETRIES = urllib3.Retry(total=2, redirect=0, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))


@dataclass(frozen=True)
class SigningKeys:
    """Public keys by their id (`kid`), and the issuer of the tokens."""

    issuer: str
    keys: Mapping[str, RSAPublicKey]


class SigningKeySource:
    """The signing keys of one tenant of an authority. Reads block."""

    def __init__(self, authority: str, tenant_id: str) -> None:
        self._tenant_path = f"/{tenant_id}/v2.0"
        self._url = f"{authority}{self._tenant_path}/.well-known/openid-configuration"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES)

    def read(self) -> SigningKeys:
        """Return the present keys.

        Raises:
            ServerUnreachableError: If the authority does not respond.
            UnexpectedResponseError: If its response is not that of the tenant.
        """
        discovery = self._fetch(self._url)
        issuer, keys_url = discovery.get("issuer"), discovery.get("jwks_uri")
        if not _is_https(issuer) or not _is_https(keys_url) or not str(issuer).endswith(self._tenant_path):
            raise UnexpectedResponseError(
                f"{self._url} has no `issuer` and `jwks_uri` of this tenant with https: check THALE_ENTRA_TENANT_ID"
            )
        document = self._fetch(str(keys_url))
        try:
            jwks = jwt.PyJWKSet.from_dict(document)
        except (jwt.PyJWTError, TypeError, ValueError, AttributeError) as error:
            raise UnexpectedResponseError(f"{keys_url} is not a set of keys: {type(error).__name__}") from error
        keys = {
            key.key_id: key.key
            for key in jwks.keys
            if key.key_id
            and isinstance(key.key, RSAPublicKey)
            and key.public_key_use in (None, "sig")
            and key.key.key_size >= _MIN_KEY_BITS
        }
        if not keys:
            raise UnexpectedResponseError(f"{keys_url} has no RSA key of at least {_MIN_KEY_BITS} bits")
        return SigningKeys(str(issuer), keys)

    def _fetch(self, url: str) -> dict[str, Any]:
        try:
            response = self._pool.request("GET", url, preload_content=False)
            try:
                body = response.read(_MAX_BYTES + 1)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise ServerUnreachableError(f"no response from {url}: {type(error).__name__}") from error
        if response.status != 200 or len(body) > _MAX_BYTES:
            raise UnexpectedResponseError(f"{url} returned {response.status} with {len(body)} bytes")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise UnexpectedResponseError(f"{url} did not return JSON") from error
        if not isinstance(document, dict):
            raise UnexpectedResponseError(f"{url} did not return a JSON object")
        return document


def _is_https(url: object) -> bool:
    return isinstance(url, str) and url.startswith("https://")
