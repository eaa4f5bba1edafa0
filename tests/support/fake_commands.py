"""Fake az, terraform, kubectl, helm, kubelogin, kind and docker, which record each call.

kubectl and terraform forward to the real programs. `config.json` in the same folder holds the configuration; its list
`faults` has prefixes of calls that fail once.
"""

# A test calls these programs hundreds of times. Other modules are imported where they are needed.
import json
import os
import sys

HERE, NAME = os.path.split(sys.argv[0])
CONFIG = f"{HERE}/config.json"
CALLS = f"{HERE}/calls.jsonl"
BUILT = f"{HERE}/built.json"


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def find_real_command(name):
    path = [folder for folder in os.get_exec_path() if folder != HERE and ".deploy" not in folder]
    return next(f"{folder}/{name}" for folder in path if os.path.exists(f"{folder}/{name}"))  # noqa: PTH110 (pathlib takes 10 ms to import)


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


def options(arguments, name):
    return [arguments[index + 1] for index, argument in enumerate(arguments[:-1]) if argument == name]


def in_location(responses, arguments):
    """Return the response of one location, if the responses differ by location."""
    return responses.get(option(arguments, "--location"), []) if isinstance(responses, dict) else responses


def print_line(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_json(value):
    print_line(json.dumps(value))


def az(config, arguments):
    subcommand = " ".join(arguments).partition(" --")[0]
    responses = {
        "version": {"azure-cli": "2.80.0"},
        "account show": {"id": config["subscription"], "name": "plants"},
        "account get-access-token": {"accessToken": config["access_token"], "tokenType": "Bearer"},
        "provider list": [{"namespace": name, "registrationState": "Registered"} for name in config["providers"]],
        "feature show": {"properties": {"state": config["encryption"]}},
    }
    handlers = {
        "vm list-skus": lambda: print_json(in_location(config["sizes"], arguments)),
        "vm list-usage": lambda: print_json(in_location(config["usages"], arguments)),
        "acr task list-runs": lambda: print_json(
            [r for r in read_built() if image_of(r) == option(arguments, "--image")]
        ),
        "acr task run": lambda: build(arguments),
        "acr task logs": lambda: print_line("Step 1/9 : FROM python\nno space left on device"),
        "aks get-credentials": lambda: write_text(option(arguments, "--file"), config["kubeconfig"]),
        "aks command invoke": lambda: run_in_pod(config, arguments),
    }
    if subcommand in responses:
        print_json(responses[subcommand])
    elif subcommand in handlers:
        handlers[subcommand]()
    else:
        sys.exit(f"az: the fake does not implement {arguments}")


def read_built():
    return json.loads(read_text(BUILT))


def image_of(run):
    (image,) = run["outputImages"]
    return f"{image['repository']}:{image['tag']}"


def build(arguments):
    """Build as the registry task does: the uploaded context must hold all needed files."""
    from pathlib import Path

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
    write_text(BUILT, json.dumps([*read_built(), run]))
    print_json(run)


def run_in_pod(config, arguments):
    """Run a command as a pod in the cluster does: with the uploaded files only."""
    import subprocess
    import tempfile
    from pathlib import Path

    files = options(arguments, "--file")
    command = option(arguments, "--command")
    command = command.replace("; curl ", f"; curl --connect-to ::127.0.0.1:{config['gateway_port']} ")
    with tempfile.TemporaryDirectory() as pod:
        for file in files:
            (Path(pod) / Path(file).name).write_bytes(Path(file).read_bytes())
        kubeconfig = Path(pod) / "in-cluster.kubeconfig"
        kubeconfig.write_text(config["kubeconfig"])
        path = os.pathsep.join(folder for folder in os.get_exec_path() if ".deploy" not in folder)
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}
        result = subprocess.run(["sh", "-c", command], cwd=pod, env=environment, capture_output=True, text=True)
    print_json({"exitCode": result.returncode, "logs": result.stdout + result.stderr, "provisioningState": "Succeeded"})


def terraform(config, arguments):
    """Forward to terraform, with a local state, and replace the generated values of the offline provider by names."""
    import subprocess

    passed_arguments = [argument for argument in arguments if not argument.startswith("-backend-config=")]
    result = subprocess.run([find_real_command("terraform"), *passed_arguments], capture_output=True, text=True)
    text = result.stdout
    for generated, name in config["names"].items():
        text = text.replace(generated, name)
    sys.stdout.write(text)
    sys.stderr.write(result.stderr)
    sys.exit(result.returncode)


def kubectl(config, arguments):
    """Forward to kubectl, except for commands that need pods. The fake API has no schemas for validation."""
    positional = [argument for argument in arguments if not argument.startswith("-")]
    if positional[:1] == ["logs"]:
        print_line("plate-seg 1.0.0 registered")
    elif positional[:1] == ["rollout"]:
        print_line("restarted")
    elif positional[:1] == ["port-forward"]:
        print_line(f"Forwarding from 127.0.0.1:{config['gateway_port']} -> 10443")
        sys.stdin.read()
    else:
        unchecked = ["--validate=false"] if positional[:1] in (["apply"], ["create"]) else []
        # One thread and no collection of garbage: a call takes 0.07 s of CPU time instead of 0.1 s.
        environment = {"KUBECONFIG": f"{HERE}/kubeconfig", "GOMAXPROCS": "1", "GOGC": "off", **os.environ}
        os.execve(find_real_command("kubectl"), ["kubectl", *arguments, *unchecked], environment)


def docker(config, arguments):
    match arguments:
        case ["--version"]:
            print_line(config["engine"])
        case ["save", "--output", archive, reference]:
            write_text(archive, reference)
        case ["image", "inspect", reference]:
            built = read_built()
            if reference not in built:
                sys.exit(1)
            print_json([{"RepoDigests": [f"{reference.rpartition(':')[0]}@sha256:{'7' * 64}"]}])
        case ["build", *_]:
            write_text(BUILT, json.dumps([*read_built(), option(arguments, "--tag")]))


VERSIONS = {
    "helm": "version.BuildInfo{Version:v4.0.0}",
    "kubelogin": "git hash: v0.2.10/abc",
    "kind": "kind v0.30.0 go1.25",
}


def main():
    arguments, config = sys.argv[1:], json.loads(read_text(CONFIG))
    with open(CALLS, "a", encoding="utf-8") as calls:
        calls.write(json.dumps([NAME, *arguments]) + "\n")
    command_line = " ".join([NAME, *(argument for argument in arguments if not argument.startswith("-"))])
    for fault in config["faults"]:
        if command_line.startswith(fault):
            write_text(
                CONFIG, json.dumps({**config, "faults": [other for other in config["faults"] if other != fault]})
            )
            sys.exit(f"{NAME}: connection refused")
    if NAME in VERSIONS:
        print_line(VERSIONS[NAME])
    else:
        {"az": az, "terraform": terraform, "kubectl": kubectl, "docker": docker}[NAME](config, arguments)


main()
