"""Rollout on a real cluster: a canary, a change of its weight and a rollback must not restart the stable predictors.

    python -m tests.kind.rollout_check --context kind-thale     # after make deploy ENV=laptop

It registers a copy of plate-seg 1.0.0 as 1.0.1. The commands of the release run in pods with the permissions and labels
of the rollout controller, because only those pods may reach predictors.
"""

import argparse
import copy
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMESPACE, MODEL, VERSION = "thale", "plate-seg", "1.0.1"
_TIMEOUT_S = 1500.0
_POLL_S = 5.0
_WEIGHTS = Path(__file__).parents[2] / "model-server" / "weights" / MODEL / "1.0.0"

Manifest = dict[str, Any]


class CheckError(Exception):
    """The rollout did not behave as expected."""


@dataclass(frozen=True)
class KindCluster:
    """The cluster of a context."""

    context: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in thale's namespace and return its output."""
        command = ["kubectl", "--context", self.context, "--namespace", NAMESPACE, *arguments]
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout

    def get(self, *arguments: str) -> Any:
        """Return an object or a list."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def predictor_pods(self) -> dict[str, str]:
        """Return the UIDs of all predictor pods of the model, by name, without those that are being deleted."""
        found = self.get("pods", "--selector", f"serving.kserve.io/inferenceservice={MODEL}")["items"]
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }


def build_archive(folder: Path) -> Path:
    """Return the archive of a copy of the default model with the new version."""
    model = folder / MODEL
    shutil.copytree(_WEIGHTS, model)
    for name in ("card.json", "golden.json"):
        text = (model / name).read_text()
        (model / name).write_text(text.replace('"version": "1.0.0"', f'"version": "{VERSION}"'))
    program = Path(sys.executable).with_name("thale-models")
    subprocess.run([program, "archive", model, "--out", folder / "archives"], check=True)
    (archive,) = (folder / "archives").glob("*.mar")
    return archive


def command_pod(controller: Mapping[str, Any], name: str, command: Sequence[str]) -> Manifest:
    """Return a pod that runs `thale release` as the rollout controller."""
    template = copy.deepcopy(controller["spec"]["template"])
    pod = template["spec"]
    (container,) = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container.pop(probe, None)
    container["command"] = ["thale", "release", "--namespace", NAMESPACE, "--as", "kind-check", *command]
    pod["restartPolicy"] = "Never"
    metadata = {"name": f"kind-check-{name}", "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


def wait_until(condition: Callable[[], bool], description: str) -> None:
    """Wait for a condition.

    Raises:
        CheckError: If it does not hold in time.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise CheckError(f"{description}: not within {_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def run_to_completion(cluster: KindCluster, manifest: Manifest) -> None:
    """Create a pod and wait until it succeeds.

    Raises:
        CheckError: If it fails, with its log.
    """
    name = manifest["metadata"]["name"]
    cluster.kubectl("delete", "pod", name, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "--filename", "-", stdin=json.dumps(manifest))

    def has_ended() -> bool:
        phase = cluster.get("pod", name).get("status", {}).get("phase")
        if phase == "Failed":
            raise CheckError(f"{name} failed:\n{cluster.kubectl('logs', f'pod/{name}', '--tail=50')}")
        return bool(phase == "Succeeded")

    wait_until(has_ended, name)


def check(cluster: KindCluster, log: Callable[[str], None]) -> None:
    """Run the whole rollout.

    Raises:
        CheckError: If a command fails, or a stable predictor was restarted.
    """
    with tempfile.TemporaryDirectory(prefix="thale-kind-") as temp_dir:
        archive = build_archive(Path(temp_dir))
        subprocess.run([sys.executable, "-m", "deploy", "register", "--env", "laptop", str(archive)], check=True)
    log(f"{MODEL} {VERSION} is registered")
    stable = cluster.predictor_pods()
    controller = cluster.get("deployment", "release-watcher")

    def release(name: str, *command: str) -> None:
        run_to_completion(cluster, command_pod(controller, name, [*command, "--why", "check on kind"]))
        restarted = stable.keys() - cluster.predictor_pods().keys()
        if restarted:
            raise CheckError(f"{name} restarted the stable predictors {', '.join(sorted(restarted))}")
        log(f"{name}: no stable predictor was restarted")

    release("canary", "canary", MODEL, VERSION, "--no-shadow")
    canary = cluster.predictor_pods().keys() - stable.keys()
    if not canary:
        raise CheckError("the canary has no pods")
    release("step", "step", MODEL)
    if missing := canary - cluster.predictor_pods().keys():
        raise CheckError(f"a change of the weight restarted the canary {', '.join(sorted(missing))}")
    release("rollback", "rollback", MODEL)
    wait_until(lambda: cluster.predictor_pods().keys() == stable.keys(), "the pods of the canary are deleted")
    log("the canary was rolled back")


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.kind.rollout_check", description=__doc__)
    parser.add_argument("--context", required=True, help="context of the kubeconfig")

    def log(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    try:
        check(KindCluster(parser.parse_args(arguments).context), log)
    except (CheckError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
