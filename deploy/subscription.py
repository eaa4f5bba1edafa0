"""Checks of the Azure subscription: login, resource providers and features."""

from collections.abc import Mapping
from typing import Any, TypeVar

import hcl2
from pydantic import BaseModel, TypeAdapter, ValidationError

from deploy.commands import run_json
from deploy.context import DeployContext
from deploy.errors import CommandError, MissingPrerequisite, UnexpectedOutputError
from deploy.settings import DeploySettings

PROVIDERS = (
    "Compute", "ContainerService", "ContainerRegistry", "KeyVault", "Storage", "Network", "OperationalInsights",
    "Insights", "AlertsManagement", "Monitor", "Dashboard", "ManagedIdentity", "PolicyInsights", "Cdn",
    "MachineLearningServices", "DBforPostgreSQL", "Consumption",
)  # fmt: skip
"""The same list as in terraform/README.md."""
_Model = TypeVar("_Model", bound=BaseModel)


class _Account(BaseModel):
    id: str
    name: str


class _Provider(BaseModel):
    namespace: str
    registrationState: str


class _Feature(BaseModel):
    class Properties(BaseModel):
        """State of the feature."""

        state: str

    properties: Properties


def tfvars(context: DeployContext) -> Mapping[str, Any]:
    """Return the variables of the environment's tfvars file."""
    path = context.root / "terraform" / "environments" / f"{context.environment}.tfvars"
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    values: Mapping[str, Any] = hcl2.loads(path.read_text(), serialization_options=options)
    return values


def missing_login(settings: DeploySettings) -> MissingPrerequisite | None:
    """Return the missing login or subscription of `az`, or None if it is usable."""
    login = f"az login && az account set --subscription {settings.subscription_id}"
    try:
        account = _validate(_Account, run_json(["az", "account", "show", "--output", "json"]))
    except CommandError:
        return MissingPrerequisite("a login to Azure", login)
    if account.id.lower() != str(settings.subscription_id).lower():
        description = f"the subscription {settings.subscription_id}: `az` uses {account.name} ({account.id})"
        return MissingPrerequisite(description, f"az account set --subscription {settings.subscription_id}")
    return None


def missing_from_subscription(context: DeployContext) -> list[MissingPrerequisite]:
    """Return the resource providers and features that the subscription lacks for the environment.

    Raises:
        UnexpectedOutputError: If the output of `az` cannot be parsed.
    """
    encrypted = bool(tfvars(context).get("host_encryption", True))
    return [*_missing_providers(context.settings), *(_missing_encryption(context.settings) if encrypted else [])]


def az(settings: DeploySettings, *arguments: str) -> Any:
    """Run `az` in the environment's subscription and return its JSON output.

    Raises:
        CommandError: If it fails.
    """
    return run_json(["az", *arguments, "--subscription", str(settings.subscription_id), "--output", "json"])


def _missing_providers(settings: DeploySettings) -> list[MissingPrerequisite]:
    providers = TypeAdapter(tuple[_Provider, ...]).validate_python(az(settings, "provider", "list"))
    registered = {each.namespace.lower() for each in providers if each.registrationState == "Registered"}
    missing = [f"Microsoft.{name}" for name in PROVIDERS if f"microsoft.{name.lower()}" not in registered]
    if not missing:
        return []
    remedy = f"for p in {' '.join(missing)}; do az provider register --wait --namespace $p; done"
    return [MissingPrerequisite(f"registered resource providers: {', '.join(missing)}", remedy)]


def _missing_encryption(settings: DeploySettings) -> list[MissingPrerequisite]:
    arguments = ("--namespace", "Microsoft.Compute", "--name", "EncryptionAtHost")
    feature = _validate(_Feature, az(settings, "feature", "show", *arguments))
    if feature.properties.state == "Registered":
        return []
    remedy = f"az feature register {' '.join(arguments)}, or set host_encryption = false in the tfvars"
    return [MissingPrerequisite("the feature EncryptionAtHost", remedy)]


def _validate(kind: type[_Model], value: Any) -> _Model:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UnexpectedOutputError(f"az did not return a valid {kind.__name__.strip('_')}: {error}") from error
