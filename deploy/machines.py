"""Checks of the VM sizes, zones and quotas that an environment's node pools need, in each of its regions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from deploy.context import GPU_COMPONENT, DeployContext
from deploy.errors import MissingPrerequisite, UnexpectedOutputError
from deploy.settings import DeploySettings
from deploy.subscription import az, tfvars

REGIONAL = "cores"
"""Azure's name for the quota of all cores of a region ("Total Regional vCPUs"); spot cores do not count."""

SPOT = "lowPriorityCores"
"""Azure's name for the quota of spot cores of all VM families."""

_QUOTA_TITLES = {REGIONAL: "all families", SPOT: "spot nodes"}

ZONES = ("1", "2", "3")
"""The default of `zones` in terraform/azure/variables.tf."""


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

    def free_cores(self, *, environment_exists: bool) -> int:
        """Return the free cores; those in use may be the environment's own if it exists."""
        return self.limit if environment_exists else self.limit - self.currentValue


class _RestrictionInfo(BaseModel):
    zones: tuple[str, ...] = ()


class _Restriction(BaseModel):
    type: str = "Location"
    reasonCode: str = "NotAvailableForSubscription"
    restrictionInfo: _RestrictionInfo = _RestrictionInfo()


class _LocationInfo(BaseModel):
    zones: tuple[str, ...] = ()


class _Size(BaseModel):
    name: str
    family: str
    capabilities: tuple[_Capability, ...] = ()
    restrictions: tuple[_Restriction, ...] = ()
    locationInfo: tuple[_LocationInfo, ...] = ()

    @property
    def cores(self) -> int:
        return next(int(each.value) for each in self.capabilities if each.name == "vCPUs")

    @property
    def refusal(self) -> str | None:
        """Reason for which the region refuses the size to this subscription, or None."""
        return next((each.reasonCode for each in self.restrictions if each.type == "Location"), None)

    @property
    def zones(self) -> set[str]:
        """Zones in which this subscription may use the size."""
        restricted = {zone for each in self.restrictions if each.type == "Zone" for zone in each.restrictionInfo.zones}
        return {zone for each in self.locationInfo for zone in each.zones} - restricted


class PlannedNodePool(BaseModel):
    """A node pool of a tfvars file."""

    vm_size: str
    max_nodes: int
    spot: bool = False
    zones: tuple[str, ...] = ()
    in_use: bool = Field(default=True, description="Whether a deploy starts its nodes, so that it needs their quota.")


@dataclass(frozen=True)
class MachineRequirements:
    """Regions and the node pools of each, as an environment's tfvars plan them."""

    locations: tuple[str, ...]
    pools: tuple[PlannedNodePool, ...]

    @property
    def zones(self) -> Mapping[str, set[str]]:
        """The zones of each distinct VM size."""
        return {pool.vm_size: self._zones_of(pool.vm_size) for pool in self.pools}

    def _zones_of(self, vm_size: str) -> set[str]:
        return {zone for pool in self.pools if pool.vm_size == vm_size for zone in pool.zones}


def machine_requirements(context: DeployContext) -> MachineRequirements:
    """Return the regions and node pools of the environment's tfvars.

    GPU pools start without nodes. Their quota is needed once the overlay runs predictors on them; training is started
    separately. Their sizes must be available nevertheless, because AKS creates the pools.
    """
    values = tfvars(context)
    zones = values.get("zones", ZONES)
    pools = [
        PlannedNodePool.model_validate({**values[name], "zones": zones}) for name in ("system_pool", "general_pool")
    ]
    uses_gpus = GPU_COMPONENT in context.overlay_components
    for pool in values.get("gpu_pools", {}).values():
        in_use = uses_gpus and pool["purpose"] == "inference"
        pools.append(PlannedNodePool.model_validate({**pool, "in_use": in_use}))
    locations = [values["location"], values.get("secondary_location")]
    return MachineRequirements(tuple(location for location in locations if location), tuple(pools))


def missing_machines(context: DeployContext, *, environment_exists: bool) -> list[MissingPrerequisite]:
    """Return the sizes, zones and quotas that the environment's regions lack.

    Args:
        context: The environment.
        environment_exists: Whether the environment exists already, so that the used quota includes its machines.

    Raises:
        UnexpectedOutputError: If the output of `az` cannot be parsed.
    """
    required = machine_requirements(context)
    return [
        missing
        for location in required.locations
        for missing in _missing_in_region(context.settings, required, location, environment_exists=environment_exists)
    ]


def _missing_in_region(
    settings: DeploySettings, required: MachineRequirements, location: str, *, environment_exists: bool
) -> Iterator[MissingPrerequisite]:
    arguments = ("--location", location, "--resource-type", "virtualMachines", "--all")
    listed = [each for each in az(settings, "vm", "list-skus", *arguments) if each.get("name") in required.zones]
    sizes = {size.name: size for size in _validate(TypeAdapter(list[_Size]), listed)}
    yield from _missing_sizes(sizes, required.zones, location)
    usages = _validate(TypeAdapter(list[_Usage]), az(settings, "vm", "list-usage", "--location", location))
    quotas = {usage.name.value.lower(): usage for usage in usages}
    for name, cores in sorted(_required_cores(required.pools, sizes).items()):
        quota = quotas.get(name.lower())
        if quota is None or quota.free_cores(environment_exists=environment_exists) < cores:
            yield _missing_quota(name, cores, quota, location)


def _missing_sizes(
    sizes: Mapping[str, _Size], zones: Mapping[str, set[str]], location: str
) -> Iterator[MissingPrerequisite]:
    listing = f"az vm list-skus --location {location} --all --output table"
    for name in sorted(zones):
        size = sizes.get(name)
        if size is None or size.refusal:
            reason = size.refusal if size is not None and size.refusal else "the region does not have it"
            description = f"the VM size {name} in {location}: {reason}"
            yield MissingPrerequisite(description, f"set another size or region in the tfvars: {listing}")
        elif absent := sorted(zones[name] - size.zones):
            description = f"the VM size {name} in zone {', '.join(absent)} of {location} for this subscription"
            remedy = f"set another size, or other `zones` in the tfvars, or request the zones from Azure: {listing}"
            yield MissingPrerequisite(description, remedy)


def _required_cores(pools: Sequence[PlannedNodePool], sizes: Mapping[str, _Size]) -> Counter[str]:
    """Return the cores of the pools in use at their maximum size, by quota name."""
    cores: Counter[str] = Counter()
    for pool in pools:
        size = sizes.get(pool.vm_size)
        if size is None or not pool.in_use:
            continue
        for quota in (SPOT,) if pool.spot else (size.family, REGIONAL):
            cores[quota] += pool.max_nodes * size.cores
    return cores


def _missing_quota(name: str, cores: int, quota: _Usage | None, location: str) -> MissingPrerequisite:
    available = f"{quota.limit}, of which {quota.currentValue} in use" if quota else "none"
    title = quota.name.localizedValue if quota and quota.name.localizedValue else name
    remedy = (
        f"https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade: {title}, {location}; GPUs take days"
    )
    needed = f"quota of {cores} cores of {_QUOTA_TITLES.get(name, name)} in {location}"
    return MissingPrerequisite(f"{needed}: available {available}", remedy)


def _validate(adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise UnexpectedOutputError(f"az did not return valid VM sizes or quotas: {error}") from error
