"""Upgrade of the add-ons to the versions of kubernetes/platform/addons.toml, one at a time in the table's order."""

import shlex

from deploy import readiness
from deploy.addons.commands import ClusterTools
from deploy.addons.status import addon_status
from deploy.addons.table import Addon, read_table
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.procedure import Action, Procedure
from deploy.platform import run_installer


def plan_upgrade(context: DeployContext, cluster: Cluster) -> Procedure:
    """Return an action for each add-on that is not up to date.

    Raises:
        AddonError: If kubectl or helm fails.
    """
    tools = ClusterTools(variables=cluster.variables)
    environment = str(context.environment)
    outdated = [
        addon for addon in read_table().for_environment(environment) if not addon_status(addon, tools).is_current
    ]
    return Procedure(
        name="upgrade of the add-ons",
        actions=[_action(context, addon) for addon in outdated],
        problems=[
            *cluster_checks.find_unready_nodes(cluster),
            *cluster_checks.find_unready_objects(cluster),
            *cluster_checks.find_running_rollouts(cluster),
        ]
        if outdated
        else [],
        undo="restore the former version in addons.toml with git, and run this again; helm stores five revisions",
    )


def _action(context: DeployContext, addon: Addon) -> Action:
    command = (
        *("python", "-m", "deploy.addons.install", "apply"),
        *("--environment", str(context.environment), "--only", addon.name),
    )
    return Action(
        f"{addon.name} to {addon.version or 'the content of its folder'} ({addon.purpose}): {shlex.join(command)}",
        execute=lambda: run_installer(context, "apply", "--only", addon.name),
        check=lambda: readiness.run(context),
    )
