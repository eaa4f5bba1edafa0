"""What stands on PATH as az, terraform, kubectl, helm, kubelogin, kind and docker: it records each call, and plays.

kubectl and terraform lead on to the real ones. How things stand is told by `play.json` beside the programs; `faults`
there names calls, by how they begin, that fail once.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(sys.argv[0]).parent
NAME = Path(sys.argv[0]).name
CONFIG = HERE / "config.json"
CALLS = HERE / "calls.jsonl"
BUILT = HERE / "built.json"


def find_real_command(name):
    path = [folder for folder in os.get_exec_path() if Path(folder) != HERE and ".deploy" not in folder]
    return next(str(Path(folder) / name) for folder in path if (Path(folder) / name).exists())


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


def options(arguments, name):
    return [value for before, value in itertools.pairwise(arguments) if before == name]


def print_line(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_json(value):
    print_line(json.dumps(value))


def az(config, arguments):
    begin = " ".join(arguments).partition(" --")[0]
    answers = {
        "version": {"azure-cli": "2.80.0"},
        "account show": {"id": config["subscription"], "name": "plants"},
        "provider list": [{"namespace": name, "registrationState": "Registered"} for name in config["providers"]],
        "feature show": {"properties": {"state": config["encryption"]}},
        "vm list-skus": config["sizes"],
        "vm list-usage": config["usages"],
    }
    handlers = {
        "acr task list-runs": lambda: print_json(
            [r for r in read_built() if image_of(r) == option(arguments, "--image")]
        ),
        "acr task run": lambda: build(arguments),
        "acr task logs": lambda: print_line("Step 1/9 : FROM python\nno space left on device"),
        "aks get-credentials": lambda: Path(option(arguments, "--file")).write_text(config["kubeconfig"]),
        "aks command invoke": lambda: run_in_pod(config, arguments),
    }
    if begin in answers:
        print_json(answers[begin])
    elif begin in handlers:
        handlers[begin]()
    else:
        sys.exit(f"az: this is not played: {arguments}")


def read_built():
    return json.loads(BUILT.read_text())


def image_of(run):
    (image,) = run["outputImages"]
    return f"{image['repository']}:{image['tag']}"


def build(arguments):
    """Build as the task would: what is needed has to be in the context that was sent."""
    values = dict(value.split("=", 1) for value in options(arguments, "--set"))
    context = Path(option(arguments, "--context"))
    assert (context / values["dockerfile"]).is_file()
    assert (context / "services" / "thale" / "facade").is_dir()
    assert not (context / ".git").exists()
    assert not (context / ".dockerignore").exists()
    repository, tag = values["image"].split(":")
    digest = "sha256:" + f"{len(repository):x}{tag}".rjust(64, "0")
    pushed = {"registry": "r", "repository": repository, "tag": tag, "digest": digest}
    run = {"runId": "ca1", "status": "Succeeded", "createTime": "2026-11-21T17:00:00Z", "outputImages": [pushed]}
    BUILT.write_text(json.dumps([*read_built(), run]))
    print_json(run)


def run_in_pod(config, arguments):
    """Run a command as a pod in the cluster would: with the files that were sent, and nothing else of this machine."""
    files = options(arguments, "--file")
    command = option(arguments, "--command")
    command = command.replace("; curl ", f"; curl --connect-to ::127.0.0.1:{config['gateway']} ")
    with tempfile.TemporaryDirectory() as pod:
        for file in files:
            (Path(pod) / Path(file).name).write_bytes(Path(file).read_bytes())
        kubeconfig = Path(pod) / "in-cluster.kubeconfig"
        kubeconfig.write_text(config["kubeconfig"])
        path = os.pathsep.join(folder for folder in os.get_exec_path() if ".deploy" not in folder)
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}
        done = subprocess.run(["sh", "-c", command], cwd=pod, env=environment, capture_output=True, text=True)
    print_json({"exitCode": done.returncode, "logs": done.stdout + done.stderr, "provisioningState": "Succeeded"})


def terraform(config, arguments):
    """Lead on to terraform, with a state on this machine, and names instead of the offline provider's inventions."""
    passed_arguments = [argument for argument in arguments if not argument.startswith("-backend-config=")]
    done = subprocess.run([find_real_command("terraform"), *passed_arguments], capture_output=True, text=True)
    text = done.stdout
    for generated, name in config["names"].items():
        text = text.replace(generated, name)
    sys.stdout.write(text)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


def kubectl(config, arguments):
    """Lead on to kubectl; what needs pods is played. The API has no schemas to validate by."""
    positional = [argument for argument in arguments if not argument.startswith("-")]
    if positional[:1] == ["logs"]:
        print_line("plate-seg 1.0.0 registered")
    elif positional[:1] == ["port-forward"]:
        print_line(f"Forwarding from 127.0.0.1:{config['gateway']} -> 10443")
        sys.stdin.read()
    else:
        unchecked = ["--validate=false"] if positional[:1] in (["apply"], ["create"]) else []
        environment = {"KUBECONFIG": str(HERE / "kubeconfig"), **os.environ}
        os.execve(find_real_command("kubectl"), ["kubectl", *arguments, *unchecked], environment)


def docker(config, arguments):
    match arguments:
        case ["--version"]:
            print_line("Docker version 29.0.0, build abc")
        case ["image", "inspect", reference]:
            built = read_built()
            if reference not in built:
                sys.exit(1)
            print_json([{"RepoDigests": [f"{reference.rpartition(':')[0]}@sha256:{'7' * 64}"]}])
        case ["build", *_]:
            BUILT.write_text(json.dumps([*read_built(), option(arguments, "--tag")]))


VERSIONS = {
    "helm": "version.BuildInfo{Version:v4.0.0}",
    "kubelogin": "git hash: v0.2.10/abc",
    "kind": "kind v0.30.0 go1.25",
}


def main():
    arguments, config = sys.argv[1:], json.loads(CONFIG.read_text())
    with CALLS.open("a") as calls:
        calls.write(json.dumps([NAME, *arguments]) + "\n")
    command_line = " ".join([NAME, *(word for word in arguments if not word.startswith("-"))])
    for fault in config["faults"]:
        if command_line.startswith(fault):
            CONFIG.write_text(json.dumps({**config, "faults": [other for other in config["faults"] if other != fault]}))
            sys.exit(f"{NAME}: the network is away")
    if NAME in VERSIONS:
        print_line(VERSIONS[NAME])
    else:
        {"az": az, "terraform": terraform, "kubectl": kubectl, "docker": docker}[NAME](config, arguments)


main()
