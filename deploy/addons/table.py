"""The table of add-ons (addons.toml), read strictly: a fault in it is told before anything is installed."""

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
    """Something that a person has to put right. The message says what."""


@dataclass(frozen=True)
class Tool:
    """A program that has to be on the PATH."""

    min_version: str
    source: str


@dataclass(frozen=True)
class ManagedAddon:
    """What a cluster of these environments has without us."""

    object: str
    provider: str
    environments: tuple[str, ...]


@dataclass(frozen=True)
class Addon:
    """One add-on: a chart, or a manifest."""

    name: str
    purpose: str
    environments: tuple[str, ...]
    version: str = ""
    chart: str = ""
    repository: str = ""
    """Of a chart that does not lie in an OCI registry."""
    manifest: str = ""
    """An address, or a folder here for kustomize."""
    namespace: str = ""
    values: tuple[str, ...] = ()
    values_from: Mapping[str, str] = field(default_factory=dict)
    """A chart's value -> the YAML file that it is."""
    skip_crds: bool = False
    waits: tuple[str, ...] = ()
    """What has to hold after a manifest, as `kubectl wait --for` and its objects."""
    webhooks: str = ""
    """Label selector of webhook configurations that AKS' admission enforcer must leave alone."""

    @property
    def source(self) -> str:
        """Where it comes from."""
        if self.chart:
            return self.chart if self.chart.startswith("oci://") else f"{self.repository.rstrip('/')} {self.chart}"
        return self.manifest.format(version=self.version)

    @property
    def folder(self) -> Path | None:
        """The folder of a manifest that lies here."""
        return None if self.chart or "://" in self.manifest else FOLDER / self.manifest

    def paths(self) -> list[Path]:
        """Return the files that it is made from, apart from the table."""
        named = [FOLDER / name for name in (*self.values, *self.values_from.values())]
        return named + (sorted(self.folder.iterdir()) if self.folder else [])

    def digest(self) -> str:
        """Return what identifies it with all that it is told, so that an add-on that is as wanted is left alone.

        Raises:
            PlatformError: If a file is not there.
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
    """All of addons.toml."""

    tools: Mapping[str, Tool]
    kubernetes: str
    """The least version of the cluster's API server."""
    addons: tuple[Addon, ...]
    managed: tuple[ManagedAddon, ...]

    def for_environment(self, environment: str, only: str | None = None) -> list[Addon]:
        """Return an environment's add-ons in their order, or the one that was named.

        Raises:
            PlatformError: If that environment has none of that name.
        """
        available = [addon for addon in self.addons if environment in addon.environments]
        if only is None:
            return available
        chosen = [addon for addon in available if addon.name == only]
        if not chosen:
            names = ", ".join(addon.name for addon in available)
            raise AddonError(f"{environment} has no add-on {only!r}: it has {names}")
        return chosen


def read_table(path: Path = TABLE_FILE) -> AddonTable:
    """Return the table.

    Raises:
        PlatformError: If it has faults; all of them are named.
    """
    try:
        data = tomllib.loads(path.read_text())
        table = AddonTable(
            {name: Tool(**tool) for name, tool in data["tools"].items()},
            data["cluster"]["kubernetes"],
            tuple(_parse_addon(entry) for entry in data["addon"]),
            tuple(ManagedAddon(**{**entry, "environments": tuple(entry["environments"])}) for entry in data["managed"]),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise AddonError(f"{path.name} is no table of add-ons: {error}") from error
    faults = [fault for addon in table.addons for fault in _rule_violations(addon)]
    names = [addon.name for addon in table.addons]
    faults += [f"{name} stands there twice" for name in {name for name in names if names.count(name) > 1}]
    if faults:
        raise AddonError(f"{path.name}: {'; '.join(faults)}")
    return table


def _parse_addon(entry: Mapping[str, Any]) -> Addon:
    tuple_fields = {each.name for each in fields(Addon) if str(each.type).startswith("tuple")}
    values: dict[str, Any] = {name: tuple(value) if name in tuple_fields else value for name, value in entry.items()}
    return Addon(**values)


def _rule_violations(addon: Addon) -> list[str]:
    rules = {
        "is either a chart or a manifest": bool(addon.chart) != bool(addon.manifest),
        "has an exact version": bool(addon.folder) or _EXACT_VERSION.fullmatch(addon.version) is not None,
        "is told that version": "://" not in addon.manifest or "{version}" in addon.manifest,
        "has a chart with a namespace": not addon.chart or bool(addon.namespace),
        "has a chart of a registry or of a repository": not addon.chart
        or addon.chart.startswith("oci://") != bool(addon.repository),
        "comes encrypted": not addon.source.startswith("http://"),
        "is for environments that there are": bool(addon.environments) and {*addon.environments} <= {*ENVIRONMENTS},
    }
    return [f"{addon.name} breaks the rule that an add-on {rule}" for rule, holds in rules.items() if not holds]
