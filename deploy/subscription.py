"""What the Azure subscription must allow before Terraform can make an environment in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import hcl2
from pydantic import BaseModel, TypeAdapter, ValidationError

from deploy.commands import answer
from deploy.context import Job
from deploy.errors import CommandError, Missing, UnexpectedOutputError
from deploy.settings import Settings

PROVIDERS = (
    "Compute", "ContainerService", "ContainerRegistry", "KeyVault", "Storage", "Network", "OperationalInsights",
    "Insights", "AlertsManagement", "Monitor", "Dashboard", "ManagedIdentity", "PolicyInsights", "Cdn",
    "MachineLearningServices", "Consumption",
)  # fmt: skip
"""As terraform/README.md lists them."""
_Model = TypeVar("_Model", bound=BaseModel)

SPOT = "lowPriorityCores"
"""What Azure calls the quota of spot cores, of all families together."""


class _Account(BaseModel):
    id: str
    name: str


class _Provider(BaseModel):
    namespace: str
    registrationState: str


class _Feature(BaseModel):
    class Properties(BaseModel):
        """Where it stands."""

        state: str

    properties: Properties


class _Named(BaseModel):
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
    capabilities: tuple[_Named, ...] = ()
    restrictions: tuple[Any, ...] = ()

    @property
    def cores(self) -> int:
        return next(int(each.value) for each in self.capabilities if each.name == "vCPUs")


class Pool(BaseModel):
    """A pool of nodes as a tfvars file has it."""

    vm_size: str
    max_nodes: int
    spot: bool = False


@dataclass(frozen=True)
class Wanted:
    """What an environment's tfvars ask of the subscription."""

    location: str
    pools: tuple[Pool, ...]
    host_encryption: bool

    @property
    def sizes(self) -> Sequence[str]:
        """The sizes of machines, each once."""
        return sorted({pool.vm_size for pool in self.pools})


def tfvars(job: Job) -> Mapping[str, Any]:
    """Return the environment's own variables of Terraform."""
    path = job.root / "terraform" / "environments" / f"{job.environment}.tfvars"
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    values: Mapping[str, Any] = hcl2.loads(path.read_text(), serialization_options=options)
    return values


def wanted(job: Job) -> Wanted:
    """Return what the environment's tfvars ask for."""
    values = tfvars(job)
    pools = [values["system_pool"], values["general_pool"], *values.get("gpu_pools", {}).values()]
    regions = 2 if values.get("secondary_location") else 1
    read = tuple(Pool.model_validate(pool) for pool in pools)
    return Wanted(values["location"], read * regions, bool(values.get("host_encryption", True)))


def missing_login(settings: Settings) -> Missing | None:
    """Return what keeps `az` from acting in the environment's subscription, None where it can."""
    login = f"az login && az account set --subscription {settings.subscription_id}"
    try:
        account = _read(_Account, answer(["az", "account", "show", "--output", "json"]))
    except CommandError:
        return Missing("nobody is signed in to Azure", login)
    if account.id.lower() != str(settings.subscription_id).lower():
        told = f"the subscription {settings.subscription_id}: `az` is at {account.name} ({account.id})"
        return Missing(told, f"az account set --subscription {settings.subscription_id}")
    return None


def missing_from_subscription(job: Job, *, made_already: bool) -> list[Missing]:
    """Return everything that the subscription lacks for what Terraform is to make.

    Args:
        job: Which environment.
        made_already: Whether the environment is there, so that its own machines count in what is used.

    Raises:
        UnexpectedOutputError: If `az` answers what it never should.
    """
    settings, ask = job.settings, wanted(job)
    return [
        *_missing_providers(settings),
        *(_missing_encryption(settings) if ask.host_encryption else []),
        *_missing_machines(settings, ask, made_already=made_already),
    ]


def az(settings: Settings, *arguments: str) -> Any:
    """Return what `az` says about the environment's subscription.

    Raises:
        CommandError: If it fails.
    """
    return answer(["az", *arguments, "--subscription", str(settings.subscription_id), "--output", "json"])


def _missing_providers(settings: Settings) -> list[Missing]:
    told = TypeAdapter(tuple[_Provider, ...]).validate_python(az(settings, "provider", "list"))
    registered = {each.namespace.lower() for each in told if each.registrationState == "Registered"}
    missing = [f"Microsoft.{name}" for name in PROVIDERS if f"microsoft.{name.lower()}" not in registered]
    if not missing:
        return []
    how = f"for p in {' '.join(missing)}; do az provider register --wait --namespace $p; done"
    return [Missing(f"resource providers that are not registered: {', '.join(missing)}", how)]


def _missing_encryption(settings: Settings) -> list[Missing]:
    arguments = ("--namespace", "Microsoft.Compute", "--name", "EncryptionAtHost")
    feature = _read(_Feature, az(settings, "feature", "show", *arguments))
    if feature.properties.state == "Registered":
        return []
    how = f"az feature register {' '.join(arguments)}, or host_encryption = false in the tfvars"
    return [Missing("the feature EncryptionAtHost", how)]


def _missing_machines(settings: Settings, ask: Wanted, *, made_already: bool) -> list[Missing]:
    listed = az(settings, "vm", "list-skus", "--location", ask.location, "--resource-type", "virtualMachines", "--all")
    offered = (each for each in listed if each.get("name") in ask.sizes)
    sizes = {size.name: size for size in TypeAdapter(list[_Size]).validate_python(list(offered))}
    how = f"another size or region in the tfvars: az vm list-skus --location {ask.location} --output table"
    missing = [
        Missing(f"machines of the size {name} in {ask.location} for this subscription", how)
        for name in ask.sizes
        if name not in sizes or sizes[name].restrictions
    ]
    usages = TypeAdapter(tuple[_Usage, ...]).validate_python(
        az(settings, "vm", "list-usage", "--location", ask.location)
    )
    quotas = {usage.name.value.lower(): usage for usage in usages}
    needed = _cores(ask, sizes)
    return missing + [
        _quota(family, cores, quotas.get(family.lower()), ask.location)
        for family, cores in sorted(needed.items())
        if _free(quotas.get(family.lower()), made_already=made_already) < cores
    ]


def _cores(ask: Wanted, sizes: Mapping[str, _Size]) -> Counter[str]:
    """Return the cores of all pools at their largest, by the name of the quota that they count against."""
    needed: Counter[str] = Counter()
    for pool in ask.pools:
        if pool.vm_size in sizes:
            size = sizes[pool.vm_size]
            needed[SPOT if pool.spot else size.family] += pool.max_nodes * size.cores
    return needed


def _free(quota: _Usage | None, *, made_already: bool) -> int:
    if quota is None:
        return 0
    return quota.limit if made_already else quota.limit - quota.currentValue


def _quota(family: str, cores: int, quota: _Usage | None, location: str) -> Missing:
    has = f"{quota.limit} with {quota.currentValue} in use" if quota else "none"
    name = quota.name.localizedValue if quota and quota.name.localizedValue else family
    how = f"https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade: {name}, {location}; GPUs take days"
    return Missing(f"quota of {cores} cores of {family} in {location}: there are {has}", how)


def _read(kind: type[_Model], told: Any) -> _Model:
    try:
        return kind.model_validate(told)
    except ValidationError as error:
        raise UnexpectedOutputError(f"az answered no {kind.__name__.strip('_')}: {error}") from error
