"""CRDs of the Gateway API that another installation created: taken over if they are older, else reported.

Each CRD of the bundle names its version and channel in annotations. An older bundle of the standard channel is a subset
of the pinned one. A downgrade, or a change from the experimental channel, would drop fields that routes may use.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.addons.commands import ClusterTools
from deploy.addons.table import Addon

_GROUP = "gateway.networking.k8s.io"
_MANAGED_LABELS = ("addonmanager.kubernetes.io/mode", "kubernetes.azure.com/managedby")
"""Labels of CRDs that a cloud provider restores."""


@dataclass(frozen=True)
class CrdBundle:
    """An installed bundle of CRDs."""

    version: str
    channel: str
    helm_release: str
    """Helm release that manages it, as NAMESPACE/NAME; empty if none does."""
    is_managed: bool
    """Whether the cloud provider restores it."""


def installed_bundle(addon: Addon, tools: ClusterTools) -> CrdBundle | None:
    """Return the bundle in the cluster, or None.

    Raises:
        AddonError: If the cluster does not respond.
    """
    found = tools.get(f"crd/{addon.bundle_crd}")
    if found is None:
        return None
    metadata: Mapping[str, Any] = found.get("metadata") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    release = annotations.get("meta.helm.sh/release-name", "")
    return CrdBundle(
        version=str(annotations.get(f"{_GROUP}/bundle-version", "")).removeprefix("v"),
        channel=annotations.get(f"{_GROUP}/channel", "standard"),
        helm_release=f"{annotations.get('meta.helm.sh/release-namespace', 'default')}/{release}" if release else "",
        is_managed=any(label in labels for label in _MANAGED_LABELS),
    )


def bundle_problem(addon: Addon, tools: ClusterTools) -> str:
    """Return the reason for which the installed bundle cannot be taken over, with the remedy; empty if it can be.

    Raises:
        AddonError: If the cluster does not respond.
    """
    bundle = installed_bundle(addon, tools)
    if bundle is None or (bundle.version, bundle.channel) == (addon.version, "standard"):
        return ""
    title = f"the cluster has version {bundle.version or 'unknown'} of {addon.name} ({bundle.channel} channel)"
    if bundle.is_managed:
        return f"{title}, which the cloud provider manages: disable its Gateway API add-on"
    if bundle.helm_release:
        return (
            f"{title}, which the Helm release {bundle.helm_release} would restore: remove the CRDs from that release "
            "(they stay in the cluster with the annotation helm.sh/resource-policy=keep)"
        )
    url = addon.manifest.format(version=bundle.version)
    if bundle.channel != "standard":
        url = url.replace("standard-install", f"{bundle.channel}-install")
        return f"{title}, and {addon.version} of the standard channel has fewer fields. {_removal(url)}"
    if _parse(bundle.version) > _parse(addon.version):
        return f"{title}, newer than {addon.version}: set `version` in addons.toml. {_removal(url)}"
    return ""


def takeover_options(addon: Addon, tools: ClusterTools) -> tuple[str, ...]:
    """Return the options of `kubectl apply` and `diff` that take over the fields of an earlier installation.

    Raises:
        AddonError: If the cluster does not respond.
    """
    return ("--force-conflicts",) if addon.bundle_crd and installed_bundle(addon, tools) else ()


def _removal(url: str) -> str:
    return (
        f"If no other application uses it: kubectl delete --filename {url} "
        "(this deletes all Gateways and routes of the cluster)"
    )


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
