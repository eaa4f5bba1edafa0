"""The table of add-ons (addons.toml), validated completely before any installation."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "kubernetes" / "platform"
TABLE_FILE = FOLDER / "addons.toml"
ENVIRONMENTS = ("laptop", "dev", "staging", "prod")

_EXACT_VERSION = re.compile(r"v?\d+\.\d+\.\d+")


class AddonError(Exception):
    """An error that an operator must fix; the message has the remedy."""


@dataclass(frozen=True)
class RequiredTool:
    """A program that must be on the PATH."""

    min_version: str
    source: str


@dataclass(frozen=True)
class ManagedAddon:
    """An object that the cloud provider installs in these environments."""

    object: str
    provider: str
    environments: tuple[str, ...]


@dataclass(frozen=True)
class Addon:
    """One add-on: a chart or a manifest."""

    name: str
    purpose: str
    environments: tuple[str, ...]
    version: str = ""
    chart: str = ""
    repository: str = ""
    """Repository of a chart outside OCI registries."""
    manifest: str = ""
    """A URL, or a kustomize folder in kubernetes/platform."""
    namespace: str = ""
    values: tuple[str, ...] = ()
    values_from: Mapping[str, str] = field(default_factory=dict)
    """Maps a value of the chart to the YAML file with its content."""
    skip_crds: bool = False
    waits: tuple[str, ...] = ()
    """Conditions after the installation: arguments of `kubectl wait --for`, with objects."""
    webhooks: str = ""
    """Label selector of the webhook configurations that are exempt from AKS' admission enforcer."""
    bundle_crd: str = ""
    """A CRD with annotations of its bundle: an older bundle of another installation is taken over."""
    disallowed_annotations: tuple[str, ...] = ()
    """Annotations that KServe must not copy into pods (deploy/addons/kserve_config.py)."""

    @property
    def source(self) -> str:
        """Source of the chart or manifest."""
        if self.chart:
            return self.chart if self.chart.startswith("oci://") else f"{self.repository.rstrip('/')} {self.chart}"
        return self.manifest.format(version=self.version)

    @property
    def folder(self) -> Path | None:
        """Folder of a local manifest; None for a chart or a URL."""
        return None if self.chart or "://" in self.manifest else FOLDER / self.manifest

    def paths(self) -> list[Path]:
        """Return the files of the add-on, without the table."""
        named = [FOLDER / name for name in (*self.values, *self.values_from.values())]
        return named + (sorted(self.folder.iterdir()) if self.folder else [])

    def digest(self) -> str:
        """Return a digest of the add-on's entry and files, which identifies an up-to-date installation.

        Raises:
            AddonError: If a file is missing.
        """
        hasher = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for path in self.paths():
            try:
                hasher.update(path.read_bytes())
            except OSError as error:
                raise AddonError(f"{self.name}: {path} cannot be read ({error.strerror})") from error
        return hasher.hexdigest()[:12]


@dataclass(frozen=True)
class AddonTable:
    """The content of addons.toml."""

    tools: Mapping[str, RequiredTool]
    kubernetes: str
    """Minimum version of the cluster's API server."""
    addons: tuple[Addon, ...]
    managed: tuple[ManagedAddon, ...]

    def for_environment(self, environment: str, only: str | None = None) -> list[Addon]:
        """Return an environment's add-ons in order, or only the selected one.

        Raises:
            AddonError: If the environment has no add-on of that name.
        """
        available = [addon for addon in self.addons if environment in addon.environments]
        if only is None:
            return available
        chosen = [addon for addon in available if addon.name == only]
        if not chosen:
            names = ", ".join(addon.name for addon in available)
            raise AddonError(f"{environment} has no add-on {only!r}: select one of {names}")
        return chosen


def read_table(path: Path = TABLE_FILE) -> AddonTable:
    """Read and validate the table.

    Raises:
        AddonError: If it is invalid, with all violations.
    """
    try:
        data = tomllib.loads(path.read_text())
        table = AddonTable(
            {name: RequiredTool(**tool) for name, tool in data["tools"].items()},
            data["cluster"]["kubernetes"],
            tuple(_parse_addon(entry) for entry in data["addon"]),
            tuple(ManagedAddon(**{**entry, "environments": tuple(entry["environments"])}) for entry in data["managed"]),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise AddonError(f"{path.name} is not a valid table of add-ons: {error}") from error
    violations = [violation for addon in table.addons for violation in _rule_violations(addon)]
    names = [addon.name for addon in table.addons]
    violations += [f"{name} is listed twice" for name in {name for name in names if names.count(name) > 1}]
    if violations:
        raise AddonError(f"{path.name}: {'; '.join(violations)}")
    return table


def _parse_addon(entry: Mapping[str, Any]) -> Addon:
    tuple_fields = {each.name for each in fields(Addon) if str(each.type).startswith("tuple")}
    values: dict[str, Any] = {name: tuple(value) if name in tuple_fields else value for name, value in entry.items()}
    return Addon(**values)


def _rule_violations(addon: Addon) -> list[str]:
    rules = {
        "is either a chart or a manifest": bool(addon.chart) != bool(addon.manifest),
        "has an exact version": bool(addon.folder) or _EXACT_VERSION.fullmatch(addon.version) is not None,
        "has a URL with {version}": "://" not in addon.manifest or "{version}" in addon.manifest,
        "has a chart with a namespace": not addon.chart or bool(addon.namespace),
        "has a chart from either a registry or a repository": not addon.chart
        or addon.chart.startswith("oci://") != bool(addon.repository),
        "has an encrypted source": not addon.source.startswith("http://"),
        "names existing environments": bool(addon.environments) and {*addon.environments} <= {*ENVIRONMENTS},
    }
    return [f"{addon.name} violates the rule that an add-on {rule}" for rule, holds in rules.items() if not holds]
