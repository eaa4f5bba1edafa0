"""`thale release`: commands of registration and rollout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from thale.cli.target_options import Target, TargetOptions

if TYPE_CHECKING:
    from thale.release.lifecycle.transitions import Author
    from thale.release.targets import ReleaseTarget
    from thale.schemas import Release

release = typer.Typer(
    no_args_is_help=True,
    help="Roll out model versions: register, run a canary, judge it, promote it or roll it back.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, such as plate-seg.")]
AnyModel = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Name of the model. Default: the only model with a canary.")
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Registered version, such as 1.1.0.")]
Archive = Annotated[Path, typer.Argument(metavar="MODEL.mar", exists=True, dir_okay=False, help="Model archive.")]
Why = Annotated[str, typer.Option("--why", help="Reason for the change, recorded in the history.")]
OptionalWhy = Annotated[
    str | None, typer.Option("--why", help="Reason for the change. Optional if the judge's verdict is promote.")
]


@release.callback()
def _releases(
    context: typer.Context,
    target: Annotated[
        Target | None,
        typer.Option(help="Release target. Default: kserve in a pod or with -n or --context, else laptop."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="THALE_HOME", help="Data directory of the local platform.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace in the cluster.")] = None,
    kube_context: Annotated[str | None, typer.Option("--context", help="Context in the kubeconfig.")] = None,
    facades: Annotated[
        str | None, typer.Option(envvar="THALE_FACADES", help="Address of the facades' metrics in the cluster.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(envvar="THALE_MODEL_STORE", help="Model store: a folder or a blob container."),
    ] = None,
    store_uri: Annotated[
        str | None,
        typer.Option(
            envvar="THALE_MODEL_STORE_URI",
            help="The store's address in the cluster, if it differs: pvc://NAME/PATH for a volume.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--as", envvar="THALE_USER", help="Author of the changes. Default: the current user.")
    ] = None,
) -> None:
    context.obj = TargetOptions(target, home, namespace, kube_context, facades, store, store_uri, user)


Slo = Annotated[
    Path | None,
    typer.Option("--slo", dir_okay=False, help="File of the objectives. Default: the one in the package."),
]
Policy = Annotated[
    Path | None,
    typer.Option("--policy", dir_okay=False, help="File of the judge policy. Default: the one in the package."),
]


def _validate_weights(text: str | None) -> str | None:
    for weight in (text or "1").split(","):
        try:
            float(weight)
        except ValueError:
            raise typer.BadParameter(f"{weight!r} is not a number: pass percentages such as 5,25,50,100") from None
    return text


@release.command()
def register(
    context: typer.Context,
    archive: Archive,
    signature: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Signature of the archive, from `thale release sign` or cosign.")
    ] = None,
) -> None:
    """Validate a model archive, test it on the golden plates, and register its version."""
    from thale.cli.registry_commands import register_archive

    register_archive(context.obj, archive, signature, Console())


@release.command()
def keygen(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the key pair.")] = Path(),
) -> None:
    """Create a key pair that signs model archives. THALE_SIGNING_PASSWORD replaces the password prompt."""
    from thale.cli.signing_commands import create_key_pair

    create_key_pair(out, Console())


@release.command()
def sign(
    archive: Archive,
    key: Annotated[Path, typer.Option(dir_okay=False, help="Private key from `thale release keygen`.")],
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Signature. Default: MODEL.mar.sig.")] = None,
) -> None:
    """Sign a model archive. `register --signature` and `cosign verify-blob --key` accept the signature."""
    from thale.cli.signing_commands import write_signature

    write_signature(archive, key, out, Console())


@release.command("list")
def list_registered(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Name of the model. Default: all models.")
    ] = None,
) -> None:
    """List the registered versions and their roles."""
    from thale.cli.registry_commands import print_registered

    print_registered(context.obj, model, Console())


@release.command()
def canary(
    context: typer.Context,
    model: Model,
    version: Version,
    why: Why,
    steps: Annotated[
        str | None,
        typer.Option(callback=_validate_weights, help="Weights of the steps in percent. Default: 5,25,50,100."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow/--no-shadow", help="Also send the canary copies of other requests.")
    ] = True,
    again: Annotated[bool, typer.Option("--again", help="Allow a version that was rolled back.")] = False,
) -> None:
    """Start a rollout: send the first step's share of the requests to a canary."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option
    from thale.release.lifecycle import transitions

    weights = tuple(float(weight) for weight in steps.split(",")) if steps is not None else None

    def transition(current: "Release", target: "ReleaseTarget", author: "Author") -> "Release":
        manifest = target.find(model, version)
        return transitions.start_canary(
            current, manifest, author, steps=weights, shadow=shadow, allow_rolled_back=again
        )

    apply_transition(context.obj, model, reason_from_option(why), transition, Console())


@release.command()
def step(context: typer.Context, model: AnyModel = None, why: OptionalWhy = None) -> None:
    """Raise the weight of the canary to the next step."""
    from thale.cli.rollout_commands import apply_transition, reason_from_judge, reason_from_option
    from thale.release.lifecycle import transitions

    reason = reason_from_judge if why is None else reason_from_option(why)
    apply_transition(
        context.obj, model, reason, lambda current, target, author: transitions.step(current, author), Console()
    )


@release.command()
def promote(context: typer.Context, model: AnyModel = None, why: OptionalWhy = None) -> None:
    """Make the canary the stable version, at any step."""
    from thale.cli.rollout_commands import apply_transition, reason_for_promotion, reason_from_option
    from thale.release.lifecycle import transitions

    reason = reason_for_promotion if why is None else reason_from_option(why)
    apply_transition(
        context.obj, model, reason, lambda current, target, author: transitions.promote(current, author), Console()
    )


@release.command()
def rollback(
    context: typer.Context,
    why: Why,
    model: AnyModel = None,
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Version to return to. Default: the previous stable version.")
    ] = None,
) -> None:
    """Remove a bad canary; without a canary, return to the previous stable version."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option, roll_back

    def transition(current: "Release", target: "ReleaseTarget", author: "Author") -> "Release":
        return roll_back(current, target, author, to)

    apply_transition(context.obj, model, reason_from_option(why), transition, Console())


@release.command()
def abort(context: typer.Context, why: Why, model: AnyModel = None) -> None:
    """Cancel a rollout without marking the version as bad."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option
    from thale.release.lifecycle import transitions

    apply_transition(
        context.obj,
        model,
        reason_from_option(why),
        lambda current, target, author: transitions.abort(current, author),
        Console(),
    )


@release.command()
def shadow(
    context: typer.Context,
    model: Model,
    why: Why,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="Registered version.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Stop the shadow traffic.")] = False,
) -> None:
    """Send copies of requests to a version, and discard its responses."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option
    from thale.release.lifecycle import transitions

    if (version is None) != off:
        raise typer.BadParameter("pass either a version, or --off to stop the shadow traffic")

    def transition(current: "Release", target: "ReleaseTarget", author: "Author") -> "Release":
        return transitions.set_shadow(current, None if version is None else target.find(model, version), author)

    apply_transition(context.obj, model, reason_from_option(why), transition, Console())


@release.command()
def drop(context: typer.Context, model: Model, version: Version) -> None:
    """Unload a version that an interrupted change left behind. A released version is not unloaded."""
    from thale.cli.rollout_commands import drop_unused

    drop_unused(context.obj, model, version, Console())


@release.command()
def restore(
    context: typer.Context,
    copies: Annotated[
        str, typer.Option(envvar="THALE_RELEASE_COPIES", help="Copies of releases: a folder or a blob container.")
    ],
    why: Why,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Name of the model. Default: all models.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also if the release has changes after the copy, which are lost.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if a release has no current copy.")
    ] = False,
) -> None:
    """Restore the stable versions and histories of a lost cluster from the copies of its controller."""
    from thale.cli.rollout_commands import check_copies, restore_releases

    if check:
        check_copies(context.obj, copies, model, Console())
    else:
        restore_releases(context.obj, copies, model, why, Console(), overwrite=overwrite)


@release.command()
def history(context: typer.Context, model: Model) -> None:
    """List the changes of a release: what, who, when and why."""
    from thale.cli.rollout_commands import print_history

    print_history(context.obj, model, Console())


@release.command()
def status(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Name of the model. Default: all models.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Update the output until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the step, counts and verdict of every rollout."""
    from thale.cli.rollout_commands import print_status, show_status

    if watch and as_json:
        raise typer.BadParameter("--json prints one status: remove --watch")
    if watch:
        show_status(context.obj, model, Console())
    else:
        print_status(context.obj, model, Console(), as_json=as_json)


@release.command()
def watch(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Exit when no model has a canary.")] = False,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics and /health/live.")] = 9091,
    slo: Slo = None,
    policy: Policy = None,
) -> None:
    """Run the rollout controller: judge, promote and roll back canaries until Ctrl-C."""
    from thale.release.controller.daemon import ListenAddress, run_daemon
    from thale.release.judge.policy import read_policy
    from thale.secrets.expiry import export_expiry_metrics
    from thale.slo import read_slo
    from thale.telemetry import logs

    target_options: TargetOptions = context.obj
    objectives, judge_policy = read_slo(slo), read_policy(policy)
    with target_options.environment() as environment, export_expiry_metrics(target_options.secrets()):
        logs.configure()
        run_daemon(
            environment,
            objectives,
            judge_policy,
            f"{target_options.author()}'s controller",
            ListenAddress("127.0.0.1", metrics_port),
            until_idle=once,
        )


@release.command()
def simulate(
    context: typer.Context,
    model: Model,
    version: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="Registered version. Default: the stable version as the next patch."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Fault: errors=RATE, latency=FACTOR, dice=DROP, background, deaths=SECONDS, after=SECONDS."),
    ] = None,
    traffic: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File of recorded requests. Default: sampled requests.")
    ] = None,
    requests_per_s: Annotated[float, typer.Option(min=0.001, max=1000, help="Rate of the sampled requests.")] = 20.0,
    hours: Annotated[float, typer.Option(min=0.001, max=24, help="Duration of the sampled requests.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    slo: Slo = None,
    policy: Policy = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate a rollout with the real judge, without real traffic."""
    from thale.cli.simulate_command import SimulateOptions, read_faults, run_simulation
    from thale.release.judge.policy import read_policy
    from thale.slo import read_slo

    options = SimulateOptions(model, version, read_faults(fault or []), traffic, requests_per_s, hours * 3600, seed)
    run_simulation(context.obj, options, read_slo(slo), read_policy(policy), Console(), as_json=as_json)
