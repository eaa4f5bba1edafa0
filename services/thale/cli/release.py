"""`thale release`: roll new model versions out."""

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
    help="Roll new model versions out: try one on a share of the requests, judge it, promote it or take it back.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name, as plate-seg.")]
AnyModel = Annotated[str | None, typer.Argument(metavar="MODEL", help="Default: the one that is on trial.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A registered version, as 1.1.0.")]
Why = Annotated[str, typer.Option("--why", help="The reason; it stands in the history.")]
OptionalWhy = Annotated[
    str | None, typer.Option("--why", help="The reason; not needed where the judge has said that it may go on.")
]


@release.callback()
def _releases(
    context: typer.Context,
    target: Annotated[
        Target | None, typer.Option(help="Default: the platform on this machine, or the cluster that is named.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="THALE_HOME", help="Folder of the platform on this machine.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace of the cluster.")] = None,
    kube_context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
    facades: Annotated[
        str | None, typer.Option(envvar="THALE_FACADES", help="Address of the cluster's facades' metrics.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(envvar="THALE_MODEL_STORE", help="Where versions are registered: a folder, or a blob container."),
    ] = None,
    user: Annotated[str | None, typer.Option("--as", envvar="THALE_USER", help="Who signs. Default: you.")] = None,
) -> None:
    context.obj = TargetOptions(target, home, namespace, kube_context, facades, store, user)


Slo = Annotated[
    Path | None, typer.Option("--slo", dir_okay=False, help="File of the objectives. Default: the one in the package.")
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
            raise typer.BadParameter(f"{weight!r} is no number: write percentages, as 5,25,50,100") from None
    return text


@release.command()
def register(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="MODEL.mar", exists=True, dir_okay=False, help="A model archive.")],
) -> None:
    """Check a model archive, try it on the golden plates, and keep it for ever under its version."""
    from thale.cli.registry_commands import register_archive

    register_archive(context.obj, archive, Console())


@release.command("list")
def list_registered(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Default: all of them.")] = None,
) -> None:
    """List the registered versions, and what each is used for."""
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
        typer.Option(callback=_validate_weights, help="Its shares on the way, in percent. Default: 5,25,50,100."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow/--no-shadow", help="Let it see copies of other requests too.")
    ] = True,
    again: Annotated[bool, typer.Option("--again", help="Although it was rolled back before.")] = False,
) -> None:
    """Put a version on trial: it answers the first step's share of the requests."""
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
    """Give the canary the next larger share."""
    from thale.cli.rollout_commands import apply_transition, reason_from_judge, reason_from_option
    from thale.release.lifecycle import transitions

    reason = reason_from_judge if why is None else reason_from_option(why)
    apply_transition(
        context.obj, model, reason, lambda current, target, author: transitions.step(current, author), Console()
    )


@release.command()
def promote(context: typer.Context, model: AnyModel = None, why: OptionalWhy = None) -> None:
    """Make the canary the stable version, at whatever step it is."""
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
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="Default: the stable version before.")] = None,
) -> None:
    """Take the canary back; without one, return to the version before."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option, roll_back

    def transition(current: "Release", target: "ReleaseTarget", author: "Author") -> "Release":
        return roll_back(current, target, author, to)

    apply_transition(context.obj, model, reason_from_option(why), transition, Console())


@release.command()
def abort(context: typer.Context, why: Why, model: AnyModel = None) -> None:
    """Call a rollout off without a word against the version."""
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
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="A registered version.")] = None,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
) -> None:
    """Let a version see copies of the requests without answering any."""
    from thale.cli.rollout_commands import apply_transition, reason_from_option
    from thale.release.lifecycle import transitions

    if (version is None) != off:
        raise typer.BadParameter("name a version, or end the shadow with --off")

    def transition(current: "Release", target: "ReleaseTarget", author: "Author") -> "Release":
        return transitions.set_shadow(current, None if version is None else target.find(model, version), author)

    apply_transition(context.obj, model, reason_from_option(why), transition, Console())


@release.command()
def history(context: typer.Context, model: Model) -> None:
    """List a release's changes: what was done, by whom, when and why."""
    from thale.cli.rollout_commands import print_history

    print_history(context.obj, model, Console())


@release.command()
def status(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Default: all of them.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show what changes, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Tell how far every rollout is, and what the judge says of it."""
    from thale.cli.rollout_commands import print_status, show_status

    if watch and as_json:
        raise typer.BadParameter("--json is one answer: leave --watch away")
    if watch:
        show_status(context.obj, model, Console())
    else:
        print_status(context.obj, model, Console(), as_json=as_json)


@release.command()
def watch(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End as soon as no version is on trial.")] = False,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics and /health/live.")] = 9091,
    slo: Slo = None,
    policy: Policy = None,
) -> None:
    """Judge every canary and move it on or take it back, unattended, until Ctrl-C."""
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
            f"{target_options.author()}'s watcher",
            ListenAddress("127.0.0.1", metrics_port),
            until_idle=once,
        )


@release.command()
def simulate(
    context: typer.Context,
    model: Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the stable version once more, under another name.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="errors=SHARE, latency=FACTOR, dice=DROP, background, deaths=SECONDS, after=SECONDS."),
    ] = None,
    traffic: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Recorded requests. Default: drawn ones.")
    ] = None,
    requests_per_s: Annotated[float, typer.Option(min=0.001, max=1000, help="Of drawn traffic.")] = 20.0,
    hours: Annotated[float, typer.Option(min=0.001, max=24, help="Of drawn traffic.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of chance.")] = 0,
    slo: Slo = None,
    policy: Policy = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Rehearse a rollout with the real judge, before anybody is exposed to it."""
    from thale.cli.simulate_command import SimulateOptions, read_faults, run_simulation
    from thale.release.judge.policy import read_policy
    from thale.slo import read_slo

    options = SimulateOptions(model, version, read_faults(fault or []), traffic, requests_per_s, hours * 3600, seed)
    run_simulation(context.obj, options, read_slo(slo), read_policy(policy), Console(), as_json=as_json)
