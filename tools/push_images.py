"""Pushes both images of `make images` to a registry, and signs them with cosign's keyless signatures.

    python -m tools.push_images --engine podman --tag v1.2.3

The environment has REGISTRY (such as ghcr.io/OWNER), and REGISTRY_USER and REGISTRY_PASSWORD if the registry needs
them. dist/images.txt then has the references by digest, which is what a deployment must name: a tag can be moved.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

IMAGES = ("thale-services", "thale-model-server")
OUTPUT = Path("dist/images.txt")


def run(command: Sequence[str], stdin: str | None = None) -> str:
    """Run a command, and return its output."""
    done = subprocess.run(command, input=stdin, text=True, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return done.stdout


def push(engine: str, tag: str, registry: str) -> list[str]:
    """Push both images, and return their references by digest."""
    references = []
    for image in IMAGES:
        target = f"{registry}/{image}:{tag}"
        run([engine, "tag", f"{image}:{tag}", target])
        run([engine, "push", target])
        digests = run([engine, "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", target]).split()
        references.append(next(digest for digest in digests if digest.startswith(f"{registry}/{image}@")))
    return references


def main(engine: str, tag: str, variables: Mapping[str, str]) -> int:
    """Push and sign the images; return the exit status."""
    registry = variables.get("REGISTRY", "").rstrip("/")
    if not registry:
        print("set REGISTRY to the address of the images, such as ghcr.io/OWNER", file=sys.stderr)  # noqa: T201
        return 2
    try:
        if user := variables.get("REGISTRY_USER"):
            login = [engine, "login", "--username", user, "--password-stdin", registry.partition("/")[0]]
            run(login, stdin=variables.get("REGISTRY_PASSWORD", ""))
        references = push(engine, tag, registry.lower())  # names of images are in lower case, owners may not be
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text("".join(f"{reference}\n" for reference in references))
        for reference in references:
            run(["cosign", "sign", "--yes", reference])
    except FileNotFoundError as error:
        print(f"{error.filename} is not installed", file=sys.stderr)  # noqa: T201
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd[:2])} failed with status {error.returncode}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Push and sign both images.")
    parser.add_argument("--engine", choices=["docker", "podman"], required=True)
    parser.add_argument("--tag", required=True)
    arguments = parser.parse_args()
    sys.exit(main(arguments.engine, arguments.tag, os.environ))
