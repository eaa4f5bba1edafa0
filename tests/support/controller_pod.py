"""Pod of the rollout controller: runs `thale release restore` of `kubectl exec` in this process, on the fake API."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.errors import CommandError
from tests.support.fake_kserve_controller import run_controller
from tests.support.fake_kubernetes_api import FakeKubernetesApi
from tests.support.fake_kubernetes_objects import Key
from thale.cli import rollout_commands
from thale.errors import ThaleError, UnknownVersionError
from thale.kserve import client, inference_service
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.registry.stores import FolderStore
from thale.release.targets import TargetTimeouts
from thale.release.targets.kserve import KServeTarget
from thale.schemas import Release, VersionManifest

NAMESPACE = "thale"


@dataclass
class ControllerPod:
    """The pod, with the folder of the copies and the versions in the model store."""

    api: FakeKubernetesApi
    copies: Path
    versions: dict[tuple[str, str], VersionManifest] = field(default_factory=dict)

    def release(self, model: str) -> Release:
        """Return a release of the cluster."""
        return inference_service.release_from_resource(self.api.objects.get(_key(model)))

    def copy_releases(self) -> None:
        """Copy all releases, as the controller does after a change, and register their versions."""
        for body in self.api.objects.list(inference_service.PLURAL, NAMESPACE):
            release = inference_service.release_from_resource(body)
            ReleaseCopies(FolderStore(self.copies)).save(release, datetime.now(UTC))
            self.versions |= {(release.name, name): manifest for name, manifest in release.versions.items()}

    def run(self, cluster: object, *arguments: str) -> str:
        """Run `thale release restore` and return its output."""
        console = Console(file=StringIO(), width=200)
        try:
            if "--check" in arguments:
                rollout_commands.check_copies(self, str(self.copies), None, console)  # type: ignore[arg-type]
            else:
                why = arguments[arguments.index("--why") + 1]
                rollout_commands.restore_releases(
                    self,  # type: ignore[arg-type]
                    str(self.copies),
                    None,
                    why,
                    console,
                    overwrite=False,
                )
        except ThaleError as error:
            raise CommandError(("kubectl", "exec"), 1, str(error)) from error
        return console.file.getvalue().strip()  # type: ignore[attr-defined,no-any-return]

    def author(self) -> str:
        return "operator"

    @contextmanager
    def environment(self) -> Iterator[Any]:
        """Yield the release environment, while KServe's controller runs."""
        api = client.with_retries(self.api.client().configuration)
        timeouts = TargetTimeouts(load_s=60, poll_s=0.02, drain_s=0)
        target = KServeTarget(api, NAMESPACE, _Store(self.versions), lambda *_: None, timeouts)
        with run_controller(self.api, NAMESPACE), target:
            yield _Environment(target)


@dataclass(frozen=True)
class _Environment:
    target: KServeTarget


@dataclass(frozen=True)
class _Store:
    versions: Mapping[tuple[str, str], VersionManifest]

    def find(self, model: str, version: str) -> VersionManifest:
        if (model, version) not in self.versions:
            raise UnknownVersionError(model, version, [])
        return self.versions[model, version]

    def uri(self, model: str, version: str) -> str:
        return f"pvc://store/models/{model}/{version}/x"

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        return {}


def promote(api: FakeKubernetesApi, model: str, version: str) -> None:
    """Promote a version with the card of 1.0.0, as `thale release` does."""
    live = api.objects.get(_key(model))
    versions = live["metadata"]["annotations"]["release.thale/versions"].replace("1.0.0", version)
    event = {"at": "2026-11-30T12:00:00.000+00:00", "who": "anna", "what": "promote", "why": "better"}
    history = [{**event, "version": version, "stable": version, "weight_percent": 0.0}]
    annotations = {"release.thale/versions": versions, "release.thale/history": json.dumps(history)}
    name = inference_service.predictor_name(version)
    spec = {"predictor": {"name": name, "model": {"storageUri": f"pvc://store/models/{model}/{version}/x"}}}
    release = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {"annotations": annotations}}
    api.objects.apply(_key(model), {**release, "spec": spec}, "thale-release", force=True)


def _key(model: str) -> Key:
    return Key(inference_service.PLURAL, NAMESPACE, model)
