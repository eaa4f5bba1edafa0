"""Whose releases a command is about: those of this machine or of a cluster; and who changes them."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from thale.errors import ParameterError, ServerUnreachableError
from thale.release.lifecycle.identity import service_account, signer

if TYPE_CHECKING:
    from thale.local.data_dir import Home
    from thale.release.controller.controller import Place
    from thale.release.registry.stores import ModelStore
    from thale.secrets import Secrets


class Target(StrEnum):
    """Who keeps the releases."""

    LAPTOP = "laptop"
    KSERVE = "kserve"


@dataclass(frozen=True)
class Where:
    """What the command line says about it; None where it says nothing."""

    target: Target | None
    home: Path | None
    namespace: str | None
    context: str | None
    facades: str | None
    model_store: str | None
    user: str | None

    @property
    def laptop_home(self) -> "Home":
        """The home on this machine."""
        from thale.local.data_dir import Home

        return Home.at(self.home)

    def chosen(self) -> Target:
        """Return the target that was named, or that what was said belongs to, or where this runs.

        Raises:
            ParameterError: If options for both were given.
        """
        for_a_cluster = self.namespace is not None or self.context is not None
        if self.target is Target.LAPTOP and for_a_cluster:
            raise ParameterError("--namespace and --context belong to a cluster, and --target says laptop: drop one")
        if self.target is not None:
            return self.target
        if for_a_cluster:
            return Target.KSERVE
        return Target.KSERVE if self.laptop_home.running() is None and service_account() is not None else Target.LAPTOP

    @contextmanager
    def place(self) -> "Iterator[Place]":
        """Give the releases for as long as the context lasts.

        Raises:
            ServerUnreachableError: If no platform runs on this machine.
            ParameterError: If the extra `kubernetes` is not installed, and a cluster is meant.
        """
        if self.chosen() is Target.KSERVE:
            if importlib.util.find_spec("kubernetes") is None:
                raise ParameterError("releases in a cluster need one more package: pip install 'thale[kubernetes]'")
            from thale.release.controller.cluster import releases_in

            store = self.store() if self.model_store is not None else None
            with releases_in(self.namespace, self.context, self.facades, store) as place:
                yield place
            return
        from thale.local.releases import releases_of

        if self.laptop_home.running() is None:
            raise ServerUnreachableError(
                f"no thale runs on {self.laptop_home.folder}: start it with `thale up`, choose another --home, "
                "or name a cluster by --namespace"
            )
        with releases_of(self.laptop_home) as place:
            yield place

    def store(self) -> "ModelStore":
        """Return where versions are registered.

        Raises:
            ParameterError: If the releases are a cluster's and no store was named.
            StoreError: If the place that was named is no store.
        """
        from thale.release.registry.stores import FolderStore, open_store

        if self.model_store is not None:
            return open_store(self.model_store)
        if self.chosen() is Target.KSERVE:
            raise ParameterError("say with --store where the cluster's versions are registered")
        return FolderStore(self.laptop_home.registered)

    def secrets(self) -> "Secrets | None":
        """Return this machine's secrets, None where there are none, or where the releases are a cluster's."""
        from thale.secrets import FileSecrets

        if self.chosen() is Target.KSERVE or not self.laptop_home.secrets.exists():
            return None
        return FileSecrets(self.laptop_home.secrets)

    def who(self) -> str:
        """Return the name that signs changes: the one that was given, a pod's service account, or the user's."""
        return signer(self.user)
