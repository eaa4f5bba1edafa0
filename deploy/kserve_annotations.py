"""Check that KServe does not copy annotations of releases into pods (deploy/addons/kserve_config.py)."""

from deploy.addons.kserve_config import CONFIG_MAP, missing_annotations
from deploy.addons.table import AddonError, read_table
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.errors import NotReadyError

_ADDON = "kserve"


def annotation_problem(context: DeployContext, cluster: Cluster) -> str | None:
    """Return the problem with KServe's configuration and its remedy, or None."""
    (addon,) = (each for each in read_table().addons if each.name == _ADDON)
    try:
        found = cluster.get("configmap", CONFIG_MAP, "--namespace", addon.namespace)
        missing = missing_annotations(found, addon.disallowed_annotations)
    except AddonError as error:
        return str(error)
    if not missing:
        return None
    return (
        f"KServe would restart each predictor with each change of a release: {CONFIG_MAP} in {addon.namespace} "
        f"does not list {', '.join(missing)}. Run `python -m deploy platform --env {context.environment}`"
    )


def check_annotations(context: DeployContext, cluster: Cluster) -> None:
    """Check KServe's configuration.

    Raises:
        NotReadyError: If an annotation of a release is missing in it.
    """
    if (problem := annotation_problem(context, cluster)) is not None:
        raise NotReadyError(problem)
