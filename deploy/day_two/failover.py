"""Failover drill: moves traffic to the second region at the edge, in steps, and back.

The edge (Front Door) has the origins `primary` and `secondary`, with priorities 1 and 2 by Terraform: without a drill,
the second region serves only if the first is unhealthy. The drill changes priorities and weights, and returns to the
values of Terraform. `make plan` shows a difference while it runs.
"""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, TypeAdapter

from deploy import cluster as clusters
from deploy import terraform
from deploy.context import NAMESPACE, DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.procedure import Action, Procedure
from deploy.errors import DeployError, MissingPrerequisite, NotReadyError
from deploy.subscription import az

SHARES = (10, 50, 100)
"""Percentages of the traffic for the second region, one after the other."""
SETTLE_S = 600.0
"""Time for a change to reach all locations of Front Door, "up to 10 minutes" by its documentation."""
_ORIGIN_GROUP = "gateways"
_FULL_WEIGHT = 1000
_PROBES = 5
_REGIONS = ("primary", "secondary")

Probe = Callable[[str], int]
"""Returns the HTTP status of a URL."""
Pause = Callable[[float], None]


class _Profile(BaseModel):
    name: str
    resourceGroup: str


class _Origin(BaseModel):
    name: str
    enabledState: str
    priority: int
    weight: int


def plan_failover(
    context: DeployContext,
    *,
    back: bool = False,
    settle_s: float = SETTLE_S,
    probe: Probe | None = None,
    pause: Pause = time.sleep,
) -> Procedure:
    """Return the steps to the second region, or back to the first.

    Args:
        context: The environment.
        back: True returns to Terraform's priorities in one step.
        settle_s: Time between a change and its verification.
        probe: Requests the readiness through the edge, by default over HTTPS.
        pause: Waits; the tests replace it.

    Raises:
        DeployError: If the environment has no edge or no second region.
    """
    url = f"https://{_edge_host(context)}/health/ready"
    options = _origin_options(context)
    origins = _read_origins(context, options)

    def verify() -> None:
        pause(settle_s)
        check_edge(url, probe or _http_status)

    target = "primary" if back else "secondary"
    shares = (100,) if back else _remaining_shares(origins)
    actions = [
        Action(
            f"{share} % of the traffic to {target}, then wait {settle_s:.0f} s and request {url}",
            _update_commands(context, options, _settings(share, back=back), origins),
            check=verify,
        )
        for share in shares
    ]
    return Procedure(
        name="return to the first region" if back else "failover to the second region",
        actions=[action for action in actions if action.commands],
        problems=list(_problems(context, target, origins)),
        undo="failover --back" if not back else "failover",
    )


def _edge_host(context: DeployContext) -> str:
    """Return the host of the edge in front of two regions.

    Raises:
        DeployError: If the environment has no edge or no second region.
    """
    facts = terraform.facts(context)
    host = facts.get("edge_host")
    if not host or "secondary" not in facts["regions"]:
        raise DeployError(
            f"{context.environment} has no edge or no second region: set edge and secondary_location in "
            f"terraform/environments/{context.environment}.tfvars"
        )
    return str(host)


def _read_origins(context: DeployContext, options: Sequence[str]) -> dict[str, _Origin]:
    response = az(context.settings, "afd", "origin", "list", *options)
    return {origin.name: origin for origin in TypeAdapter(tuple[_Origin, ...]).validate_python(response)}


def check_edge(url: str, probe: Probe) -> None:
    """Check that the edge returns 200 for the readiness, several times in a row.

    Raises:
        NotReadyError: If it does not.
    """
    statuses = [probe(url) for _ in range(_PROBES)]
    if any(status != 200 for status in statuses):
        raise NotReadyError(f"{url} returned {statuses}: go back with `failover --back`, and look at the second region")


def _settings(share: int, *, back: bool) -> Mapping[str, tuple[int, int]]:
    """Return priority and weight of each origin. At equal priorities, Front Door divides the traffic by weight."""
    if back:
        return {"secondary": (2, _FULL_WEIGHT), "primary": (1, _FULL_WEIGHT)}
    if share == 100:
        return {"secondary": (1, _FULL_WEIGHT), "primary": (2, _FULL_WEIGHT)}
    weight = round(_FULL_WEIGHT * share / 100)
    return {"secondary": (1, weight), "primary": (1, _FULL_WEIGHT - weight)}


def _remaining_shares(origins: Mapping[str, _Origin]) -> Sequence[int]:
    """Return the shares from the present one on, which is verified again; all of them before the first change."""
    present = {name: (origin.priority, origin.weight) for name, origin in origins.items()}
    for position, share in enumerate(SHARES):
        if present == _settings(share, back=False):
            return SHARES[position:]
    return SHARES


def _update_commands(
    context: DeployContext,
    options: Sequence[str],
    settings: Mapping[str, tuple[int, int]],
    origins: Mapping[str, _Origin],
) -> list[Sequence[str]]:
    return [
        (
            *("az", "afd", "origin", "update", *options, "--origin-name", name),
            *("--priority", str(priority), "--weight", str(weight)),
            *("--subscription", str(context.settings.subscription_id)),
        )
        for name, (priority, weight) in settings.items()
        if name in origins
    ]


def _origin_options(context: DeployContext) -> Sequence[str]:
    """Return the options that select the origin group.

    Raises:
        DeployError: If there is no profile of the environment.
    """
    profiles = TypeAdapter(tuple[_Profile, ...]).validate_python(az(context.settings, "afd", "profile", "list"))
    found = [profile for profile in profiles if profile.name == f"afd-{NAMESPACE}-{context.environment}"]
    if not found:
        raise DeployError(f"the subscription has no Front Door profile of {context.environment}: run make deploy")
    return (
        *("--resource-group", found[0].resourceGroup, "--profile-name", found[0].name),
        *("--origin-group-name", _ORIGIN_GROUP),
    )


def _problems(context: DeployContext, target: str, origins: Mapping[str, _Origin]) -> Iterator[MissingPrerequisite]:
    for region in _REGIONS:
        if region not in origins:
            yield MissingPrerequisite(f"the edge has no origin {region}", "run make deploy")
        elif region == target and origins[region].enabledState != "Enabled":
            yield MissingPrerequisite(
                f"the origin {region} is disabled", "az afd origin update --enabled-state Enabled"
            )
    releases = {}
    for region in _REGIONS:
        cluster = clusters.connect(in_region(context, region))
        try:
            releases[region] = _stable_versions(cluster)
            if region == target:
                yield from cluster_checks.find_unready_objects(cluster)
        except DeployError as error:
            if region == target:
                yield MissingPrerequisite(f"the cluster of {region} does not respond: {error}", "repair it first")
    if len(releases) == len(_REGIONS) and releases["primary"] != releases["secondary"]:
        yield MissingPrerequisite(
            f"the regions serve different versions: {releases['primary']} and {releases['secondary']}",
            "release the same versions in both with thale release",
        )


def in_region(context: DeployContext, region: str) -> DeployContext:
    """Return the context of the same environment for the cluster of a region."""
    return replace(context, settings=context.settings.model_copy(update={"region": region}))


def _stable_versions(cluster: clusters.Cluster) -> Mapping[str, str]:
    found = (cluster.get("inferenceservices.serving.kserve.io", "--namespace", NAMESPACE) or {}).get("items", ())
    return {service["metadata"]["name"]: str(service["spec"]["predictor"].get("name", "")) for service in found}


def _http_status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20, context=ssl.create_default_context()) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
