"""Installs the add-ons that a cluster needs before an overlay, in the order of `kubernetes/platform/addons.toml`.

    python -m deploy.addons.install plan|apply|status --environment ENV [--context C] [--only NAME]

`plan` prints the commands, `apply` runs them and resumes after an interruption, and `status` exits with 1 if an add-on
is not up to date. Add-ons that are up to date are skipped; `--only NAME` installs one add-on even then.
Needs only Python 3.11, kubectl and helm.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from deploy.addons.commands import FIELD_MANAGER, ClusterTools
from deploy.addons.crd_bundle import takeover_options
from deploy.addons.kserve_config import CONFIG_MAP, CONTROLLER, restrict_annotations
from deploy.addons.preflight import cluster_problems, missing_tools, require
from deploy.addons.status import HELM_TIMEOUT, AddonStatus, addon_status, release_description, source_arguments
from deploy.addons.table import ENVIRONMENTS, FOLDER, Addon, AddonError, AddonTable, read_table

ENFORCER_EXEMPT_LABEL = "admissions.enforcer/disabled=true"
_WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
_HELM_WAIT = f"{int(HELM_TIMEOUT.total_seconds() // 60)}m"
_WIDTHS = (22, 10, 22)

Log = Callable[[str], None]
Command = tuple[Sequence[str], str]
"""A command and its standard input."""


def plan(table: AddonTable, environment: str, tools: ClusterTools, only: str | None, log: Log) -> int:
    """Print the commands that `apply` would run. Without a cluster, print those for an empty one."""
    problems = missing_tools(table, tools) or cluster_problems(table, environment, tools)
    for addon in table.for_environment(environment, only):
        state = (
            AddonStatus("missing", "install") if problems else addon_status(addon, tools, is_explicit=only is not None)
        )
        log(_row(addon, state.description))
        if not state.is_current:
            for command, _ in _install_commands(addon, tools, state, is_reachable=not problems):
                log(f"    {shlex.join(command)}")
            if addon.disallowed_annotations:
                log(f"    (then add {', '.join(addon.disallowed_annotations)} to the ConfigMap {CONFIG_MAP})")
            for command, _ in _post_install_commands(addon, environment, tools):
                log(f"    {shlex.join(command)}")
    for problem in problems:
        log(f"required first: {problem}")
    return 0


def apply(table: AddonTable, environment: str, tools: ClusterTools, only: str | None, log: Log) -> int:
    """Install missing add-ons and update outdated ones.

    Raises:
        AddonError: If a prerequisite is missing or a command fails. Add-ons that are installed by then stay.
    """
    for addon in _check_and_select(table, environment, tools, only):
        started_s = time.monotonic()
        current = addon_status(addon, tools, is_explicit=only is not None)
        is_skipped = current.is_current and only is None
        log(_row(addon, current.description))
        for command, stdin in () if is_skipped else _install_commands(addon, tools, current):
            tools.execute(command, stdin)
        if addon.disallowed_annotations and restrict_annotations(addon, tools):
            log(f"    {CONFIG_MAP}: annotations of releases are not copied into pods")
        for command, stdin in _post_install_commands(addon, environment, tools):
            tools.execute(command, stdin)
        if not is_skipped:
            log(f"    done ({time.monotonic() - started_s:.0f} s)")
    return 0


def status(table: AddonTable, environment: str, tools: ClusterTools, only: str | None, log: Log) -> int:
    """Print the status of each add-on. Returns 1 if one is not up to date.

    Raises:
        AddonError: If a tool or the cluster is missing.
    """
    addons = _check_and_select(table, environment, tools, only)
    statuses = [(addon, addon_status(addon, tools)) for addon in addons]
    for addon, addon_state in statuses:
        log(
            _row(
                addon,
                addon_state.state if addon_state.is_current else f"{addon_state.state}: {addon_state.description}",
            )
        )
    return 0 if all(addon_state.is_current for _, addon_state in statuses) else 1


def _check_and_select(table: AddonTable, environment: str, tools: ClusterTools, only: str | None) -> Sequence[Addon]:
    """Check all prerequisites before any installation starts, and return the add-ons.

    Raises:
        AddonError: If a prerequisite is missing.
    """
    addons = table.for_environment(environment, only)
    for addon in addons:
        addon.digest()
    require(missing_tools(table, tools) or cluster_problems(table, environment, tools))
    return addons


def _install_commands(
    addon: Addon, tools: ClusterTools, current: AddonStatus, *, is_reachable: bool = True
) -> list[Command]:
    """Return the commands that install or update an add-on, each with its standard input."""
    if addon.chart:
        return [*_cleanup_commands(addon, tools, current), (_upgrade_command(addon, tools), inline_values(addon))]
    server_side = ("apply", "--server-side", "--field-manager", FIELD_MANAGER)
    namespace_commands: list[Command] = []
    if addon.namespace:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": addon.namespace}}
        namespace_commands.append((tools.kubectl(*server_side, "--filename", "-"), json.dumps(namespace)))
    apply_command = tools.kubectl(
        *server_side, *(takeover_options(addon, tools) if is_reachable else ()), *source_arguments(addon)
    )
    return [*namespace_commands, (apply_command, "")]


def _cleanup_commands(addon: Addon, tools: ClusterTools, current: AddonStatus) -> list[Command]:
    """Return the commands that clear an interrupted release: helm refuses to upgrade a pending one."""
    if current.state != "interrupted":
        return []
    release_options = (addon.name, "--namespace", addon.namespace, "--wait")
    is_first_install = "pending-install" in current.description
    return [
        (tools.helm("uninstall" if is_first_install else "rollback", *release_options, "--timeout", _HELM_WAIT), "")
    ]


def _upgrade_command(addon: Addon, tools: ClusterTools) -> Sequence[str]:
    chart = (addon.chart, *(("--repo", addon.repository) if addon.repository else ()))
    files = [str(FOLDER / name) for name in addon.values] + (["-"] if addon.values_from else [])
    return tools.helm(
        *("upgrade", "--install", addon.name, *chart, "--version", addon.version),
        *("--namespace", addon.namespace, "--create-namespace"),
        *(argument for file in files for argument in ("--values", file)),
        *(("--skip-crds",) if addon.skip_crds else ()),
        *(_patched_release_options(tools) if addon.disallowed_annotations else ("--wait",)),
        *("--timeout", _HELM_WAIT, "--history-max", "5", "--description", release_description(addon)),
    )


def _patched_release_options(tools: ClusterTools) -> Sequence[str]:
    """Return the options for a release with a ConfigMap that is patched after each upgrade.

    The patch precedes the start of the new controller, so `kubectl rollout status` waits instead of helm. A server-side
    apply of Helm 4 would fail, because the patch owns a field of the chart.
    """
    return ("--server-side=false",) if tools.has_helm_4() else ()


def inline_values(addon: Addon) -> str:
    """Return the values from other files as text: an indented YAML file is a valid YAML value."""
    lines = []
    for name, path in addon.values_from.items():
        lines.append(f"{name}:")
        lines += [f"  {line}" if line.strip() else "" for line in (FOLDER / path).read_text().splitlines()]
    return "\n".join(lines)


def _post_install_commands(addon: Addon, environment: str, tools: ClusterTools) -> list[Command]:
    """Return the labels and waits that run on every apply; they are fast if they already hold."""
    commands: list[Command] = []
    if addon.disallowed_annotations:
        rollout = ("rollout", "status", CONTROLLER, "--namespace", addon.namespace, "--timeout", _HELM_WAIT)
        commands.append((tools.kubectl(*rollout), ""))
    if addon.webhooks and environment != "laptop":
        label = tools.kubectl("label", _WEBHOOKS, "--selector", addon.webhooks, ENFORCER_EXEMPT_LABEL, "--overwrite")
        commands.append((label, ""))
    for wait in addon.waits:
        condition, *objects = wait.split()
        commands.append((tools.kubectl("wait", "--for", condition, "--timeout", "5m", *objects), ""))
    return commands


def _row(addon: Addon, text: str) -> str:
    cells = (addon.name, addon.version or "local", addon.namespace or "(cluster)")
    return "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)), text])


ACTIONS: Mapping[str, Callable[[AddonTable, str, ClusterTools, str | None, Log], int]] = {
    "plan": plan,
    "apply": apply,
    "status": status,
}


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.addons.install", description="Install a cluster's add-ons in the order of addons.toml."
    )
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("--environment", required=True, choices=ENVIRONMENTS)
    parser.add_argument("--context", help="context of the kubeconfig; default: the current one")
    parser.add_argument("--only", metavar="NAME", help="install only this add-on, even if it is up to date")
    options = parser.parse_args(arguments)

    def log(line: str) -> None:
        print(line, flush=True)  # noqa: T201 (the output of this program)

    try:
        return ACTIONS[options.action](
            read_table(), options.environment, ClusterTools(options.context), options.only, log
        )
    except AddonError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run the command again to resume\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
