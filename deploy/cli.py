"""The commands: `up` for all steps, each step by its name, and plan, diff, status, rollback, destroy.

Exit status: 0 all is well, 1 something failed and was named, 2 asked wrongly, 130 interrupted.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.context import ROOT, DeployContext
from deploy.errors import DeployError
from deploy.settings import Environment, Settings
from deploy.steps import STEPS, Step, run_step, run_steps

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a checkout to a serving cluster.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Env = Annotated[Environment, typer.Option("--env", "--environment", help="Where to.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what is finished: every step looks anew.")]


def _context(environment: Environment) -> DeployContext:
    return DeployContext(Settings.read(environment, ROOT), Console())


@app.command()
def up(env: Env, fresh: Fresh = False) -> None:
    """Deploy: every step that is not finished, from the checkout to a measured plate."""
    run_steps(_context(env), fresh=fresh)


@app.command()
def plan(env: Env) -> None:
    """Show what a deploy would do."""
    from deploy.plan import print_plan

    print_plan(_context(env))


@app.command()
def diff(env: Env) -> None:
    """Show what applying the manifests would change."""
    from deploy.plan import print_diff

    print_diff(_context(env))


@app.command()
def status(env: Env) -> None:
    """Show what is finished, what runs, and what was deployed."""
    from deploy.status import print_status

    print_status(_context(env))


@app.command()
def rollback(env: Env) -> None:
    """Put back the deploy before: images and manifests, not the models."""
    from deploy.rollback import roll_back

    roll_back(_context(env))


@app.command()
def destroy(
    env: Env,
    confirm: Annotated[str | None, typer.Option(help="The environment's name, where nobody can be asked.")] = None,
) -> None:
    """Take the environment down, after its name was typed."""
    from deploy.destroy import destroy as take_down

    def prompt(question: str) -> str:
        return confirm if confirm is not None else str(typer.prompt(question))

    take_down(_context(env), prompt)


@app.command(context_settings={"ignore_unknown_options": True})
def invoke(env: Env, command: Annotated[list[str], typer.Argument(help="kubectl or helm, and its arguments.")]) -> None:
    """Run kubectl or helm in a private cluster, by `az aks command invoke`."""
    from deploy.invoke import invoke as invoke_in_cluster

    raise typer.Exit(invoke_in_cluster(_context(env), command))


def _add(step: Step) -> None:
    @app.command(step.name, help=f"Step: {step.title}.")
    def run_single(env: Env) -> None:
        run_step(_context(env), step)


for _step in STEPS:
    _add(_step)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except DeployError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]deploy:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
