"""Command line of the procedures. All of them print their actions, and change something only with `--apply`.

Exit status: 0 success, 1 a failed check or action with its message, 2 a usage error.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy import cluster as clusters
from deploy.addons.table import AddonError
from deploy.context import ROOT, DeployContext
from deploy.day_two.procedure import Procedure, run_procedure
from deploy.errors import DeployError, describe_file_error
from deploy.settings import DeploySettings, Environment
from thale.errors import ThaleError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Procedures for a cluster in operation (docs/day-two.md).",
)

Env = Annotated[Environment, typer.Option("--env", "--environment", help="The environment.")]
Apply = Annotated[bool, typer.Option("--apply", help="Run the actions. Default: print them.")]


def _context(environment: Environment) -> DeployContext:
    return DeployContext(DeploySettings.read(environment, ROOT), Console())


def _on_azure(environment: Environment) -> DeployContext:
    if not environment.on_azure:
        raise DeployError(f"{environment} has no node pools, vault or edge of Azure: pass dev, staging or prod")
    return _context(environment)


def _run(context: DeployContext, cluster: clusters.Cluster | None, procedure: Procedure, *, apply: bool) -> None:
    with context.lock():
        run_procedure(context, cluster, procedure, apply=apply)


def _connect(context: DeployContext) -> clusters.Cluster:
    cluster = clusters.connect(context)
    cluster.check_environment()
    return cluster


@app.command()
def upgrade_kubernetes(
    env: Env, to: Annotated[str, typer.Option(help="Version, such as 1.36.1.")], apply: Apply = False
) -> None:
    """Upgrade the control plane, then each node pool."""
    from deploy.day_two.kubernetes_upgrade import plan_upgrade

    context = _on_azure(env)
    cluster = _connect(context)
    _run(context, cluster, plan_upgrade(context, cluster, to), apply=apply)


@app.command()
def upgrade_addons(env: Env, apply: Apply = False) -> None:
    """Upgrade the add-ons to the versions of addons.toml, one at a time."""
    from deploy.day_two.addon_upgrade import plan_upgrade

    context = _context(env)
    cluster = _connect(context)
    _run(context, cluster, plan_upgrade(context, cluster), apply=apply)


@app.command()
def drain_pool(
    env: Env, pool: Annotated[str, typer.Option(help="Name of the node pool.")], apply: Apply = False
) -> None:
    """Move all pods off a node pool, before it is removed."""
    from deploy.day_two.node_pools import plan_drain

    context = _on_azure(env)
    cluster = _connect(context)
    _run(context, cluster, plan_drain(context, cluster, pool), apply=apply)


@app.command()
def rotate_limit_store(env: Env, apply: Apply = False) -> None:
    """Replace the password of the limit store."""
    from deploy.day_two.secret_rotation import plan_limit_store

    context = _context(env)
    cluster = _connect(context)
    _run(context, cluster, plan_limit_store(context, cluster), apply=apply)


@app.command()
def renew_certificate(env: Env, apply: Apply = False) -> None:
    """Renew the gateway's certificate before its time."""
    from deploy.day_two.secret_rotation import plan_certificate

    context = _context(env)
    cluster = _connect(context)
    _run(context, cluster, plan_certificate(cluster), apply=apply)


@app.command()
def rotate_pepper(
    env: Env,
    finish: Annotated[
        bool, typer.Option("--finish", help="Disable former peppers; no key may depend on them.")
    ] = False,
    apply: Apply = False,
) -> None:
    """Add a pepper of API keys, or end the rotation. Runs in the network of the vault."""
    from deploy.day_two.secret_rotation import plan_pepper, plan_pepper_end

    context = _on_azure(env)
    _run(context, None, plan_pepper_end(context) if finish else plan_pepper(context), apply=apply)


@app.command()
def save_releases(
    env: Env, out: Annotated[Path, typer.Option(help="File of the releases. It contains no secret: store it off-site.")]
) -> None:
    """Save the live releases, for a rebuild."""
    from deploy.day_two.releases import save_releases as save

    context = _context(env)
    context.log(f"saved {', '.join(save(_connect(context), out))} to {out}")


@app.command()
def rebuild(
    env: Env,
    releases: Annotated[
        Path | None, typer.Option(help="File of save-releases. Default: the copies in the store.")
    ] = None,
    apply: Apply = False,
) -> None:
    """Deploy to a new cluster, and restore its releases."""
    from deploy.day_two.rebuild import rebuild as rebuild_cluster

    rebuild_cluster(_context(env), releases, apply=apply)


@app.command()
def drill_restore(env: Env, apply: Apply = False) -> None:
    """Delete the release state, rebuild it from the store, and measure the time. It interrupts serving."""
    from deploy.day_two.drills import drill_restore as drill

    drill(_context(env), apply=apply)


@app.command()
def drill_failover(
    env: Env,
    settle_s: Annotated[float, typer.Option(min=0, help="Seconds between a change and its verification.")] = 600.0,
    apply: Apply = False,
) -> None:
    """Move the traffic to the second region and back, and measure the time."""
    from deploy.day_two.drills import drill_failover as drill

    context = _on_azure(env)
    with context.lock():
        drill(context, settle_s=settle_s, apply=apply)


@app.command()
def restore_models(
    store: Annotated[str, typer.Option(help="URL of the container: https://ACCOUNT.blob.core.windows.net/models.")],
    apply: Apply = False,
) -> None:
    """Restore deleted and damaged blobs of the model store from their versions."""
    from deploy.day_two.model_restore import open_container, run_restore

    run_restore(open_container(store), Console(), apply=apply)


@app.command()
def failover(
    env: Env,
    back: Annotated[bool, typer.Option("--back", help="Return to the first region.")] = False,
    settle_s: Annotated[float, typer.Option(min=0, help="Seconds between a change and its verification.")] = 600.0,
    apply: Apply = False,
) -> None:
    """Move the traffic to the second region at the edge, or back."""
    from deploy.day_two.failover import plan_failover

    context = _on_azure(env)
    _run(context, None, plan_failover(context, back=back, settle_s=settle_s), apply=apply)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except (DeployError, AddonError, ThaleError, OSError) as error:
        text = describe_file_error(error) if isinstance(error, OSError) else str(error)
        Console(stderr=True, soft_wrap=True).print(f"[bold red]day two:[/] {escape(text)}", highlight=False)
        sys.exit(1)
