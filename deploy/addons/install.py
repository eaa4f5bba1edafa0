"""Installs what a cluster needs before an overlay can be applied: `addons.toml`, in its order.

    python deploy/addons/install.py plan|apply|status --environment ENV [--context C] [--only NAME]

`plan` says what would be done, `apply` does it and goes on where it was interrupted, `status` ends with 1 where
anything is not as wanted. What is as wanted is left alone; `--only NAME` installs one add-on in any case.
Needs Python 3.11 alone, beside kubectl and helm.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.addons.commands import FIELD_MANAGER, Programs
from deploy.addons.preflight import demand, missing_tools, wrong_with_cluster
from deploy.addons.status import HELM_TIMEOUT, Standing, mark, source_words, standing
from deploy.addons.table import ENVIRONMENTS, FOLDER, Addon, PlatformError, Table, read_table

LEFT_ALONE = "admissions.enforcer/disabled=true"
_WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
_HELM_WAIT = f"{int(HELM_TIMEOUT.total_seconds() // 60)}m"
_WIDTHS = (22, 10, 22)

Say = Callable[[str], None]
Command = tuple[Sequence[str], str]
"""A command and its standard input."""


def plan(table: Table, environment: str, programs: Programs, only: str | None, say: Say) -> int:
    """Say what `apply` would do, and by which commands. Without a cluster: what it does to an empty one."""
    unready = missing_tools(table, programs) or wrong_with_cluster(table, environment, programs)
    for addon in table.of(environment, only):
        would = Standing("missing", "install") if unready else standing(addon, programs, named=only is not None)
        say(_row(addon, would.words))
        if not would.done:
            for command, _ in _commands(addon, environment, programs, would):
                say(f"    {shlex.join(command)}")
    for fault in unready:
        say(f"before that: {fault}")
    return 0


def apply(table: Table, environment: str, programs: Programs, only: str | None, say: Say) -> int:
    """Install what is missing, and bring up to date what is not.

    Raises:
        PlatformError: If something has to be put right; what was installed before stays.
    """
    for addon in _checked(table, environment, programs, only):
        begun = time.monotonic()
        found = standing(addon, programs, named=only is not None)
        left_alone = found.done and only is None
        say(_row(addon, found.words))
        for command, stdin in (_afterwards if left_alone else _commands)(addon, environment, programs, found):
            programs.change(command, stdin)
        if not left_alone:
            say(f"    done ({time.monotonic() - begun:.0f} s)")
    return 0


def status(table: Table, environment: str, programs: Programs, only: str | None, say: Say) -> int:
    """Say how every add-on stands. Returns 1 where one is not as wanted.

    Raises:
        PlatformError: If a tool or the cluster is not there.
    """
    chosen = _checked(table, environment, programs, only)
    found = [(addon, standing(addon, programs)) for addon in chosen]
    for addon, stands in found:
        say(_row(addon, stands.state if stands.done else f"{stands.state}: {stands.words}"))
    return 0 if all(stands.done for _, stands in found) else 1


def _checked(table: Table, environment: str, programs: Programs, only: str | None) -> Sequence[Addon]:
    """Return the add-ons, once everything that they need is there: nothing is begun that cannot be ended.

    Raises:
        PlatformError: If something has to be put right.
    """
    chosen = table.of(environment, only)
    for addon in chosen:
        addon.digest()
    demand(missing_tools(table, programs) or wrong_with_cluster(table, environment, programs))
    return chosen


def _commands(addon: Addon, environment: str, programs: Programs, found: Standing) -> list[Command]:
    """Return the commands, each with its standard input, that bring an add-on to what is wanted."""
    done = _afterwards(addon, environment, programs, found)
    if addon.chart:
        return [*_cleared(addon, programs, found), (_upgrade(addon, programs), _values(addon)), *done]
    server_side = ("apply", "--server-side", "--field-manager", FIELD_MANAGER)
    place: list[Command] = []
    if addon.namespace:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": addon.namespace}}
        place.append((programs.kubectl(*server_side, "--filename", "-"), json.dumps(namespace)))
    return [*place, (programs.kubectl(*server_side, *source_words(addon)), ""), *done]


def _cleared(addon: Addon, programs: Programs, found: Standing) -> list[Command]:
    """Return what makes helm take an interrupted release again: it refuses one that is pending."""
    if found.state != "interrupted":
        return []
    place = (addon.name, "--namespace", addon.namespace, "--wait")
    first = "pending-install" in found.words
    return [(programs.helm("uninstall" if first else "rollback", *place, "--timeout", _HELM_WAIT), "")]


def _upgrade(addon: Addon, programs: Programs) -> Sequence[str]:
    chart = (addon.chart, *(("--repo", addon.repository) if addon.repository else ()))
    files = [str(FOLDER / name) for name in addon.values] + (["-"] if addon.values_from else [])
    return programs.helm(
        *("upgrade", "--install", addon.name, *chart, "--version", addon.version),
        *("--namespace", addon.namespace, "--create-namespace"),
        *(word for file in files for word in ("--values", file)),
        *(("--skip-crds",) if addon.skip_crds else ()),
        *("--wait", "--timeout", _HELM_WAIT, "--history-max", "5", "--description", mark(addon)),
    )


def _values(addon: Addon) -> str:
    """Return the values that lie elsewhere: as text, for a file of YAML is a value of YAML once it is indented."""
    lines = []
    for name, path in addon.values_from.items():
        lines.append(f"{name}:")
        lines += [f"  {line}" if line.strip() else "" for line in (FOLDER / path).read_text().splitlines()]
    return "\n".join(lines)


def _afterwards(addon: Addon, environment: str, programs: Programs, _: Standing) -> list[Command]:
    """Return what is said and waited for each time: it costs nothing where it holds already."""
    commands: list[Command] = []
    if addon.webhooks and environment != "laptop":
        label = programs.kubectl("label", _WEBHOOKS, "--selector", addon.webhooks, LEFT_ALONE, "--overwrite")
        commands.append((label, ""))
    for wait in addon.waits:
        condition, *objects = wait.split()
        commands.append((programs.kubectl("wait", "--for", condition, "--timeout", "5m", *objects), ""))
    return commands


def _row(addon: Addon, words: str) -> str:
    cells = (addon.name, addon.version or "here", addon.namespace or "(cluster)")
    return "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)), words])


WHAT: Mapping[str, Callable[[Table, str, Programs, str | None, Say], int]] = {
    "plan": plan,
    "apply": apply,
    "status": status,
}


def main(words: Sequence[str]) -> int:
    """Do what the command line says. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python {Path(__file__).name}", description="Install a cluster's add-ons: addons.toml, in its order."
    )
    parser.add_argument("what", choices=list(WHAT))
    parser.add_argument("--environment", required=True, choices=ENVIRONMENTS)
    parser.add_argument("--context", help="of the kubeconfig; default: its current one")
    parser.add_argument("--only", metavar="NAME", help="one add-on, also where it is as wanted")
    told = parser.parse_args(words)

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201 (this is what it is for)

    try:
        return WHAT[told.what](read_table(), told.environment, Programs(told.context), told.only, say)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run it again, it goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
