"""Whose releases a command is about: those of this machine or of a cluster; and who changes them."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from thale.errors import ParameterError, ServerUnreachableError
from thale.release.lifecycle.identity import current_user, service_account_name

if TYPE_CHECKING:
    from thale.local.data_dir import DataDir
    from thale.release.controller.controller import ReleaseEnvironment
    from thale.release.registry.stores import ModelStore
    from thale.secrets import Secrets


class Target(StrEnum):
    """Who keeps the releases."""

    LAPTOP = "laptop"
    KSERVE = "kserve"


@dataclass(frozen=True)
class TargetOptions:
    """What the command line says about it; None where it says nothing."""

    target: Target | None
    home: Path | None
    namespace: str | None
    context: str | None
    facades: str | None
    model_store: str | None
    user: str | None

    @property
    def data_dir(self) -> "DataDir":
        """The home on this machine."""
        from thale.local.data_dir import DataDir

        return DataDir.resolve(self.home)

    def resolve_target(self) -> Target:
        """Return the target that was named, or that what was said belongs to, or where this runs.

        Raises:
            ParameterError: If options for both were given.
        """
        names_cluster = self.namespace is not None or self.context is not None
        if self.target is Target.LAPTOP and names_cluster:
            raise ParameterError("--namespace and --context belong to a cluster, and --target says laptop: drop one")
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
        """Give the releases for as long as the context lasts.

        Raises:
            ServerUnreachableError: If no platform runs on this machine.
            ParameterError: If the extra `kubernetes` is not installed, and a cluster is meant.
        """
        if self.resolve_target() is Target.KSERVE:
            if importlib.util.find_spec("kubernetes") is None:
                raise ParameterError("releases in a cluster need one more package: pip install 'thale[kubernetes]'")
            from thale.release.controller.cluster import cluster_environment

            store = self.store() if self.model_store is not None else None
            with cluster_environment(self.namespace, self.context, self.facades, store) as environment:
                yield environment
            return
        from thale.local.releases import local_environment

        if self.data_dir.find_running_platform() is None:
            raise ServerUnreachableError(
                f"no thale runs on {self.data_dir.path}: start it with `thale up`, choose another --home, "
                "or name a cluster by --namespace"
            )
        with local_environment(self.data_dir) as environment:
            yield environment

    def store(self) -> "ModelStore":
        """Return where versions are registered.

        Raises:
            ParameterError: If the releases are a cluster's and no store was named.
            StoreError: If the place that was named is no store.
        """
        from thale.release.registry.stores import FolderStore, open_store

        if self.model_store is not None:
            return open_store(self.model_store)
        if self.resolve_target() is Target.KSERVE:
            raise ParameterError("say with --store where the cluster's versions are registered")
        return FolderStore(self.data_dir.registry)

    def secrets(self) -> "Secrets | None":
        """Return this machine's secrets, None where there are none, or where the releases are a cluster's."""
        from thale.secrets import FileSecrets

        if self.resolve_target() is Target.KSERVE or not self.data_dir.secrets.exists():
            return None
        return FileSecrets(self.data_dir.secrets)

    def author(self) -> str:
        """Return the name that signs changes: the one that was given, a pod's service account, or the user's."""
        return current_user(self.user)
