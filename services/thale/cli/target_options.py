"""Options of `thale release`: the release target (local platform or cluster) and the author of changes."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from thale.errors import ParameterError, ServerUnreachableError
from thale.release.lifecycle.identity import current_user, service_account_name

if TYPE_CHECKING:
    from thale.local.data_dir import DataDir
    from thale.release.controller.controller import ReleaseEnvironment
    from thale.release.registry.stores import ModelStore
    from thale.release.targets.cluster_store import ClusterStore
    from thale.secrets import Secrets


class Target(StrEnum):
    """Release target."""

    LAPTOP = "laptop"
    KSERVE = "kserve"


@dataclass(frozen=True)
class TargetOptions:
    """Options of the command line that select target, store and author. None means not given."""

    target: Target | None
    home: Path | None
    namespace: str | None
    context: str | None
    facades: str | None
    model_store: str | None
    store_uri: str | None
    user: str | None

    @property
    def data_dir(self) -> "DataDir":
        """Data directory of the local platform."""
        from thale.local.data_dir import DataDir

        return DataDir.resolve(self.home)

    def resolve_target(self) -> Target:
        """Return the explicit target, or the target that the other options or the environment imply.

        Raises:
            ParameterError: If the options belong to different targets.
        """
        names_cluster = self.namespace is not None or self.context is not None
        if self.target is Target.LAPTOP and names_cluster:
            raise ParameterError(
                "--namespace and --context select a cluster, but --target is laptop: remove one of them"
            )
        if self.target is not None:
            return self.target
        if names_cluster:
            return Target.KSERVE
        return (
            Target.KSERVE
            if self.data_dir.find_running_platform() is None and service_account_name() is not None
            else Target.LAPTOP
        )

    @contextmanager
    def environment(self) -> "Iterator[ReleaseEnvironment]":
        """Yield the release environment of the target.

        Raises:
            ServerUnreachableError: If the target is the local platform, and it is not running.
            ParameterError: If the target is a cluster, and the extra `kubernetes` is not installed.
        """
        if self.resolve_target() is Target.KSERVE:
            if importlib.util.find_spec("kubernetes") is None:
                raise ParameterError(
                    "releases in a cluster need the kubernetes client: install it with pip install 'thale[kubernetes]'"
                )
            from thale.release.controller.cluster import cluster_environment

            store = self._cluster_store() if self.model_store is not None else None
            with cluster_environment(
                self.namespace, self.context, self.facades, store, lambda line: typer.echo(line, err=True)
            ) as environment:
                yield environment
            return
        from thale.local.releases import local_environment

        if self.data_dir.find_running_platform() is None:
            raise ServerUnreachableError(
                f"no local platform is running in {self.data_dir.path}: start it with `thale up`, "
                "choose another --home, or select a cluster with --namespace"
            )
        with local_environment(self.data_dir) as environment:
            yield environment

    def store(self) -> "ModelStore":
        """Return the store of the registry.

        Raises:
            ParameterError: If the target is a cluster, and no store was given.
            StoreError: If the given store is invalid.
        """
        from thale.release.registry.stores import FolderStore, open_store

        if self.model_store is not None:
            return open_store(self.model_store)
        if self.resolve_target() is Target.KSERVE:
            raise ParameterError("a cluster has no default store: pass the store of its versions with --store")
        return FolderStore(self.data_dir.registry)

    def _cluster_store(self) -> "ClusterStore":
        from thale.release.targets.cluster_store import ClusterStore

        return ClusterStore(self.store(), self.store_uri)

    def secrets(self) -> "Secrets | None":
        """Return the secrets of the local platform, or None without a secrets file or for a cluster."""
        from thale.secrets import FileSecrets

        if self.resolve_target() is Target.KSERVE or not self.data_dir.secrets.exists():
            return None
        return FileSecrets(self.data_dir.secrets)

    def author(self) -> str:
        """Return the author of changes: the given name, the service account of a pod, or the current user."""
        return current_user(self.user)
