"""Registers an archive of the user in the store of a laptop's cluster, which is a volume that only pods can write.

The archive is copied into a pod with the model server's image, which runs `thale release register`, as the Job of the
default models does. On Azure, a machine in the network registers directly in the storage account.
"""

import base64
import getpass
import json
import shlex
from pathlib import Path
from typing import Any

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import DeployError
from deploy.models import local_registration_job

STORE = "/store/models"
_POD = "register-archive"
_DEADLINE_S = 1800
_START_TIMEOUT = "--timeout=300s"


def register(context: DeployContext, archive: Path, signature: Path | None = None) -> None:
    """Register an archive in the volume, after the golden plates, and print the result.

    Raises:
        DeployError: If the environment is on Azure, a file cannot be read, or the registration fails.
    """
    if context.environment.on_azure:
        raise DeployError(
            "the store on Azure is not a volume: run `thale release --store "
            "https://ACCOUNT.blob.core.windows.net/models register FILE` on a machine in its network, as an identity "
            "that may write models"
        )
    contents = {path.name: _read(path) for path in (archive, signature) if path is not None}
    cluster = clusters.connect(context)
    cluster.check_environment()
    path = context.folder / "register-archive.json"
    path.write_text(json.dumps(_pod(context)))
    try:
        cluster.apply(path)
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{_POD}", "--namespace", NAMESPACE, _START_TIMEOUT)
        for name, data in contents.items():
            _copy(cluster, name, data)
        command = ["thale", "release", "--store", STORE, "--as", getpass.getuser(), "register", f"/tmp/{archive.name}"]  # noqa: S108
        command += ["--signature", f"/tmp/{signature.name}"] if signature is not None else []  # noqa: S108
        context.log(cluster.kubectl("exec", _POD, "--namespace", NAMESPACE, "--", *command).strip())
    finally:
        cluster.kubectl("delete", "pod", _POD, "--namespace", NAMESPACE, "--ignore-not-found", "--grace-period=1")


def _pod(context: DeployContext) -> dict[str, Any]:
    """Return the pod of the registration Job, which waits for commands instead of registering the default models."""
    template = local_registration_job(context, _POD)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    spec = {
        **template["spec"],
        "activeDeadlineSeconds": _DEADLINE_S,
        "containers": [{**container, "command": ["sleep", str(_DEADLINE_S)]}],
    }
    metadata = {**template["metadata"], "name": _POD, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _copy(cluster: Cluster, name: str, data: str) -> None:
    script = f"base64 -d > {shlex.quote(f'/tmp/{name}')}"  # noqa: S108
    cluster.kubectl("exec", "--stdin", _POD, "--namespace", NAMESPACE, "--", "sh", "-c", script, stdin=data)


def _read(path: Path) -> str:
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}") from error
