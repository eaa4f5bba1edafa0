"""Lock files: exact versions and hashes of every package that CI, developers and images install (ADR 0091).

    python -m tools.generate.lock_files UV         write requirements/*.txt with that uv; needs a package index

Versions come from constraints.txt. Tools with an environment of their own keep the version of the existing lock file.
torch and its CUDA packages are in `cuda.txt` only, for the image with DEVICE=cu130: other machines use different builds
of one version.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
CONSTRAINTS = ROOT / "constraints.txt"
_UNLOCKED = re.compile(r"torch|triton|cuda-.+|nvidia-.+")
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")


@dataclass(frozen=True)
class Lock:
    """One lock file: the dependencies of thale with extras, and those of `requirements/NAME.in`."""

    extras: tuple[str, ...] | None = None
    """Extras of thale. None if the file has no dependency of thale."""
    inputs: tuple[str, ...] = ()
    constrained: bool = True
    """True if constraints.txt has the versions."""
    lowest: bool = False
    """True for the oldest version of each direct dependency that pyproject.toml permits."""
    cuda: bool = False
    """True for torch and its CUDA packages alone, False for all packages but these."""


LOCKS: Mapping[str, Lock] = {
    "dev": Lock(("models", "dev"), ("build",)),
    "services": Lock(("azure", "kubernetes", "postgresql", "redis", "server", "tables")),
    "model-server": Lock(("azure", "batch", "models", "postgresql")),
    "cuda": Lock(inputs=("cuda",), cuda=True),
    "wheel": Lock(("server",)),
    "client": Lock(()),
    "build": Lock(inputs=("build",)),
    "sbom": Lock(inputs=("sbom",)),
    "lowest": Lock(
        ("azure", "kubernetes", "models", "postgresql", "redis"), ("build", "lowest"), constrained=False, lowest=True
    ),
    "uv": Lock(inputs=("uv",), constrained=False),
    "audit": Lock(inputs=("audit",), constrained=False),
    "checkov": Lock(inputs=("checkov",), constrained=False),
    "node": Lock(inputs=("node",), constrained=False),
    "zizmor": Lock(inputs=("zizmor",), constrained=False),
    "mutation": Lock(inputs=("mutation",), constrained=False),
    "reuse": Lock(inputs=("reuse",), constrained=False),
    "openapi-client": Lock(inputs=("openapi-client",), constrained=False),
    "isatools": Lock(inputs=("isatools",), constrained=False),
}


@dataclass(frozen=True)
class LockedPackage:
    """One package of a lock file."""

    version: str
    hashes: tuple[str, ...]
    is_used_here: bool = True
    """False if its marker excludes this platform."""


def read_lock(path: Path) -> Mapping[str, LockedPackage]:
    """Return the packages of a lock file by canonical name."""
    packages: dict[str, LockedPackage] = {}
    name = ""
    for line in path.read_text().splitlines():
        if match := _PINNED.fullmatch(line):
            name = canonicalize_name(match["name"])
            marker = match["marker"]
            packages[name] = LockedPackage(match["version"], (), marker is None or Marker(marker).evaluate())
        elif line.startswith("    --hash="):
            digest = line.removeprefix("    --hash=").removesuffix(" \\")
            packages[name] = replace(packages[name], hashes=(*packages[name].hashes, digest))
        elif not line.startswith("#"):
            raise ValueError(f"{path.name}: {line!r} is not a line of a lock file: run make lock")
    return packages


def read_constraints() -> Mapping[str, str]:
    """Return the versions of constraints.txt by canonical name."""
    matches = map(_PINNED.fullmatch, CONSTRAINTS.read_text().splitlines())
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


def declared_requirements(lock: Lock) -> list[Requirement]:
    """Return the requirements that a lock file must contain on this platform, without the packages of its packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines: list[str] = []
    if lock.extras is not None:
        lines += [*project["dependencies"], *_extra_requirements(project["optional-dependencies"], lock.extras)]
    for name in lock.inputs:
        lines += [line for line in (FOLDER / f"{name}.in").read_text().splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    return [
        requirement
        for requirement in requirements
        if (requirement.marker is None or requirement.marker.evaluate())
        and (_UNLOCKED.fullmatch(requirement.name) is not None) == lock.cuda
    ]


def _extra_requirements(available: Mapping[str, list[str]], extras: tuple[str, ...]) -> Iterator[str]:
    for extra in extras:
        for line in available[extra]:
            if (own := Requirement(line)).name == "thale":
                yield from _extra_requirements(available, tuple(sorted(own.extras)))
            else:
                yield line


def find_problems(lock: Lock, packages: Mapping[str, LockedPackage]) -> list[str]:
    """Return the differences between a lock file and its declarations: pyproject.toml and constraints.txt."""
    problems = [f"{name} has no hash" for name, package in packages.items() if not package.hashes]
    for requirement in declared_requirements(lock):
        package = packages.get(canonicalize_name(requirement.name))
        if package is None:
            problems.append(f"{requirement} is missing")
        elif not requirement.specifier.contains(package.version, prereleases=True):
            problems.append(f"{requirement} is declared, {package.version} is locked")
    versions = read_constraints() if lock.constrained else {}
    for name, package in packages.items():
        if (expected := versions.get(name)) not in (None, package.version):
            problems.append(f"constraints.txt has {name} {expected}, {package.version} is locked")
        if lock.constrained and package.is_used_here and name not in versions:
            problems.append(f"{name}=={package.version} is missing in constraints.txt")
    return problems


def write_lock(name: str, lock: Lock, uv: Path) -> None:
    """Write one lock file with uv."""
    excluded = [package for package in read_constraints() if (_UNLOCKED.fullmatch(package) is None) == lock.cuda]
    sources = [] if lock.extras is None else ["pyproject.toml"]
    command = [
        *(str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-annotate", "--custom-compile-command", "make lock"),
        *(option for extra in lock.extras or () for option in ("--extra", extra)),
        *(option for package in excluded for option in ("--no-emit-package", package)),
        *(("--constraint", CONSTRAINTS.name) if lock.constrained else ()),
        *(("--resolution", "lowest-direct") if lock.lowest else ()),
        *sources,
        *(f"requirements/{source}.in" for source in lock.inputs),
        *("--output-file", f"requirements/{name}.txt"),
    ]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 (the arguments are this module's)


def main(uv: Path) -> None:
    """Write all lock files with uv."""
    for name, lock in LOCKS.items():
        write_lock(name, lock, uv.absolute())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
