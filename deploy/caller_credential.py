"""Credential of the smoke test: an API key, or on Azure an access token of the deployer."""

import os
from collections.abc import Mapping

from deploy import local_keys, terraform
from deploy.context import DeployContext
from deploy.errors import CommandError, DeployError
from deploy.subscription import az

API_KEY_VARIABLE = "THALE_API_KEY"
"""Environment variable with an API key or a token, as for thale.Client. It has priority."""


def read_credential(context: DeployContext) -> str:
    """Return a credential with the scope `predict`.

    Raises:
        DeployError: If no credential is available.
    """
    if given := os.environ.get(API_KEY_VARIABLE, "").strip():
        return given
    return _request_token(context) if context.environment.on_azure else local_keys.smoke_key(context)


def entra_facts(context: DeployContext) -> Mapping[str, str]:
    """Return tenant and audience of the tokens that the facade accepts.

    Raises:
        DeployError: If the environment has no app registration.
    """
    found: Mapping[str, str] | None = terraform.facts(context).get("entra")
    if found is None:
        raise DeployError(
            f"{context.environment} has no app registration, so no client could authenticate: set entra_audience in "
            f"deploy/environments/{context.environment}.toml (docs/authentication.md) and run the step terraform"
        )
    return found


def _request_token(context: DeployContext) -> str:
    """Return an access token for the account that `az` is signed in with."""
    audience = entra_facts(context)["audience"]
    try:
        token: str = az(context.settings, "account", "get-access-token", "--resource", audience)["accessToken"]
    except CommandError as error:
        raise DeployError(
            f"no access token for the smoke test: {error}\nAssign the app role Thale.Predict to this account "
            f"(docs/authentication.md), or set {API_KEY_VARIABLE} to an API key."
        ) from error
    return token
