"""Command line: `up` runs all steps, and each step, plan, diff, status, rollback and destroy is a command.

Exit status: 0 success, 1 a failure with its message, 2 a usage error, 130 an interrupt.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.context import ROOT, DeployContext
from deploy.errors import DeployError, describe_file_error
from deploy.settings import DeploySettings, Environment
from deploy.steps import STEPS, DeployStep, run_step, run_steps

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Deploy a checkout to a cluster.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Env = Annotated[Environment, typer.Option("--env", "--environment", help="The environment to deploy to.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore the recorded state and run every step.")]


def _context(environment: Environment) -> DeployContext:
    return DeployContext(DeploySettings.read(environment, ROOT), Console())


@app.command()
def up(env: Env, fresh: Fresh = False) -> None:
    """Deploy: run every step that is not up to date, up to the smoke test."""
    run_steps(_context(env), fresh=fresh)


@app.command()
def plan(env: Env) -> None:
    """Show the steps that a deploy would run."""
    from deploy.plan import print_plan

    print_plan(_context(env))


@app.command()
def diff(env: Env) -> None:
    """Show the changes that applying the manifests would make."""
    from deploy.plan import print_diff

    print_diff(_context(env))


@app.command()
def status(env: Env) -> None:
    """Show completed steps, deploy history, and readiness."""
    from deploy.status import print_status

    print_status(_context(env))


@app.command()
def rollback(env: Env) -> None:
    """Restore the previous deploy: images and manifests, not the models."""
    from deploy.rollback import roll_back

    roll_back(_context(env))


@app.command()
def destroy(
    env: Env,
    confirm: Annotated[str | None, typer.Option(help="The environment's name, for use without a terminal.")] = None,
) -> None:
    """Destroy the environment, after a confirmation with its name."""
    from deploy.destroy import destroy as destroy_environment

    def prompt(text: str) -> str:
        return confirm if confirm is not None else str(typer.prompt(text))

    destroy_environment(_context(env), prompt)


@app.command()
def register(
    env: Env,
    archive: Annotated[Path, typer.Argument(metavar="MODEL.mar", dir_okay=False, help="Model archive.")],
    signature: Annotated[Path | None, typer.Option(dir_okay=False, help="Signature of the archive.")] = None,
) -> None:
    """Register a model archive in the volume of a laptop's cluster."""
    from deploy.register import register as register_archive

    register_archive(_context(env), archive, signature)


@app.command(context_settings={"ignore_unknown_options": True})
def invoke(env: Env, command: Annotated[list[str], typer.Argument(help="kubectl or helm, with arguments.")]) -> None:
    """Run kubectl or helm in a private cluster through `az aks command invoke`."""
    from deploy.invoke import invoke as invoke_in_cluster

    raise typer.Exit(invoke_in_cluster(_context(env), command))


def _add(step: DeployStep) -> None:
    @app.command(step.name, help=f"Step: {step.title}.")
    def run_single(env: Env) -> None:
        run_step(_context(env), step)


for _step in STEPS:
    _add(_step)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except (DeployError, OSError) as error:
        text = describe_file_error(error) if isinstance(error, OSError) else str(error)
        Console(stderr=True, soft_wrap=True).print(f"[bold red]deploy:[/] {escape(text)}", highlight=False)
        sys.exit(1)
