"""Checks of the Azure subscription: login, resource providers, features, VM sizes and quotas."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    "MachineLearningServices", "Consumption",
)  # fmt: skip
"""The same list as in terraform/README.md."""
_Model = TypeVar("_Model", bound=BaseModel)

SPOT = "lowPriorityCores"
"""Azure's name for the quota of spot cores of all VM families."""


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


class _Capability(BaseModel):
    name: str
    value: str


class _QuotaName(BaseModel):
    value: str
    localizedValue: str = ""


class _Usage(BaseModel):
    name: _QuotaName
    currentValue: int
    limit: int


class _Size(BaseModel):
    name: str
    family: str
    capabilities: tuple[_Capability, ...] = ()
    restrictions: tuple[Any, ...] = ()

    @property
    def cores(self) -> int:
        return next(int(each.value) for each in self.capabilities if each.name == "vCPUs")


class PlannedNodePool(BaseModel):
    """A node pool of a tfvars file."""

    vm_size: str
    max_nodes: int
    spot: bool = False


@dataclass(frozen=True)
class RequiredQuota:
    """Location, node pools and features that an environment's tfvars need."""

    location: str
    pools: tuple[PlannedNodePool, ...]
    host_encryption: bool

    @property
    def sizes(self) -> Sequence[str]:
        """The distinct VM sizes."""
        return sorted({pool.vm_size for pool in self.pools})


def tfvars(context: DeployContext) -> Mapping[str, Any]:
    """Return the variables of the environment's tfvars file."""
    path = context.root / "terraform" / "environments" / f"{context.environment}.tfvars"
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    values: Mapping[str, Any] = hcl2.loads(path.read_text(), serialization_options=options)
    return values


def required_quota(context: DeployContext) -> RequiredQuota:
    """Return the quota that the environment's tfvars need."""
    values = tfvars(context)
    pools = [values["system_pool"], values["general_pool"], *values.get("gpu_pools", {}).values()]
    region_count = 2 if values.get("secondary_location") else 1
    region_pools = tuple(PlannedNodePool.model_validate(pool) for pool in pools)
    return RequiredQuota(values["location"], region_pools * region_count, bool(values.get("host_encryption", True)))


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


def missing_from_subscription(context: DeployContext, *, environment_exists: bool) -> list[MissingPrerequisite]:
    """Return everything that the subscription lacks for the environment.

    Args:
        context: The environment.
        environment_exists: Whether the environment exists already, so that the used quota includes its machines.

    Raises:
        UnexpectedOutputError: If the output of `az` cannot be parsed.
    """
    settings, required = context.settings, required_quota(context)
    return [
        *_missing_providers(settings),
        *(_missing_encryption(settings) if required.host_encryption else []),
        *_missing_machines(settings, required, environment_exists=environment_exists),
    ]


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


def _missing_machines(
    settings: DeploySettings, required: RequiredQuota, *, environment_exists: bool
) -> list[MissingPrerequisite]:
    listed = az(
        settings, "vm", "list-skus", "--location", required.location, "--resource-type", "virtualMachines", "--all"
    )
    offered = (each for each in listed if each.get("name") in required.sizes)
    sizes = {size.name: size for size in TypeAdapter(list[_Size]).validate_python(list(offered))}
    remedy = f"set another size or region in the tfvars: az vm list-skus --location {required.location} --output table"
    missing = [
        MissingPrerequisite(f"the VM size {name} in {required.location} for this subscription", remedy)
        for name in required.sizes
        if name not in sizes or sizes[name].restrictions
    ]
    usages = TypeAdapter(tuple[_Usage, ...]).validate_python(
        az(settings, "vm", "list-usage", "--location", required.location)
    )
    quotas = {usage.name.value.lower(): usage for usage in usages}
    required_cores = _required_cores(required, sizes)
    return missing + [
        _missing_quota(family, cores, quotas.get(family.lower()), required.location)
        for family, cores in sorted(required_cores.items())
        if _free_cores(quotas.get(family.lower()), environment_exists=environment_exists) < cores
    ]


def _required_cores(required: RequiredQuota, sizes: Mapping[str, _Size]) -> Counter[str]:
    """Return the cores of all pools at their maximum size, by quota name."""
    cores: Counter[str] = Counter()
    for pool in required.pools:
        if pool.vm_size in sizes:
            size = sizes[pool.vm_size]
            cores[SPOT if pool.spot else size.family] += pool.max_nodes * size.cores
    return cores


def _free_cores(quota: _Usage | None, *, environment_exists: bool) -> int:
    if quota is None:
        return 0
    return quota.limit if environment_exists else quota.limit - quota.currentValue


def _missing_quota(family: str, cores: int, quota: _Usage | None, location: str) -> MissingPrerequisite:
    available = f"{quota.limit}, of which {quota.currentValue} in use" if quota else "none"
    name = quota.name.localizedValue if quota and quota.name.localizedValue else family
    remedy = (
        f"https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade: {name}, {location}; GPUs take days"
    )
    return MissingPrerequisite(f"quota of {cores} cores of {family} in {location}: available {available}", remedy)


def _validate(kind: type[_Model], value: Any) -> _Model:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UnexpectedOutputError(f"az did not return a valid {kind.__name__.strip('_')}: {error}") from error
