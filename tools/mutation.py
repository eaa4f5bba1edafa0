"""Mutation testing of modules whose faults would reach users unnoticed, with cosmic-ray (docs/testing.md, ADR 0151).

    python -m tools.mutation COSMIC_RAY [TARGET …] [--sample 30] [--seed 7] [--write]

Each target mutates its modules in a copy of the tracked files, one mutant at a time, and runs only the unit tests that
cover them. The mutants are a seeded sample of at most one per place in the code. Results stay in `build/mutation`: the
next call with the same code, tests, sample and seed continues.
"""

import argparse
import ast
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build/mutation"
TREE = BUILD / "tree"
DOCUMENT = ROOT / "docs/testing.md"
TABLE_START = "<!-- Table of `make mutation`: do not edit. -->\n"
TABLE_END = "<!-- End of the table. -->\n"
_TIMEOUT_FACTOR = 10
_MIN_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class MutationTarget:
    """Modules, and the unit tests that cover them."""

    modules: tuple[str, ...]
    """Files, or folders with their files."""
    tests: tuple[str, ...]


TARGETS: Mapping[str, MutationTarget] = {
    "traits": MutationTarget(
        ("services/thale/phenotyping/traits",),
        ("services/tests/phenotyping/traits",),
    ),
    "exports": MutationTarget(("services/thale/exports",), ("services/tests/exports",)),
    "judge": MutationTarget(("services/thale/release/judge",), ("services/tests/release/judge",)),
    "health": MutationTarget(
        ("services/thale/facade/status/health.py", "services/thale/facade/api/health_routes.py"),
        (
            "services/tests/facade/status/test_readiness.py",
            "services/tests/facade/status/test_readiness_reasons.py",
            "services/tests/facade/api/test_health_routes.py",
        ),
    ),
    "fallback": MutationTarget(
        ("services/thale/facade/inference/fallback.py", "services/thale/facade/inference/canary_timeout.py"),
        ("services/tests/facade/inference",),
    ),
    "smoke": MutationTarget(("deploy/smoke.py",), ("deploy/tests/test_smoke.py",)),
}


@dataclass(frozen=True)
class Mutant:
    """One mutation of the sample, and whether a test failed with it. `is_killed` is None before its tests have run."""

    path: str
    line: int
    operator: str
    is_killed: bool | None
    diff: str


@dataclass(frozen=True)
class Place:
    """A place in the code that operators of cosmic-ray can change."""

    path: str
    row: int
    column: int


class MutationError(Exception):
    """The mutants cannot be run."""


def source_files(target: MutationTarget, root: Path) -> list[Path]:
    """Return the files of a target in the order of their paths."""
    paths = [root / module for module in target.modules]
    return sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))


def annotation_ranges(source: str) -> list[tuple[int, int]]:
    """Return the first and last position of each annotation, whose mutations change no behaviour."""
    annotations: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            annotations.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            annotations.append(node.returns)
    return [
        (position_key(node.lineno, node.col_offset), position_key(node.end_lineno or 0, node.end_col_offset or 0))
        for node in annotations
    ]


def position_key(row: int, column: int) -> int:
    """Return a number that orders places of one file."""
    return row * 10_000 + column


def choose_mutants(places: Mapping[str, Place], excluded: frozenset[str], sample: int, seed: int) -> list[str]:
    """Return the ids of a seeded sample: at most one mutant per place, because those of one place are much alike.

    The sample depends on the order of `places`, and not on the ids, which cosmic-ray draws at random.
    """
    ids = [job for job in places if job not in excluded]
    random.Random(seed).shuffle(ids)  # noqa: S311 (a sample, no secret)
    by_place: dict[Place, str] = {}
    for job in ids:
        by_place.setdefault(places[job], job)
    return list(by_place.values())[:sample]


def copy_tree(root: Path, tree: Path) -> None:
    """Copy the tracked files, and compile them.

    Bytecode files have hashes, because a mutant can have the size and the second of its original.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True)  # noqa: S607
    shutil.rmtree(tree, ignore_errors=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = root / name, tree / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    subprocess.run([*command, "services", "deploy", "tests"], cwd=tree, check=True)  # noqa: S603


def digest_of(target: MutationTarget, root: Path, sample: int, seed: int) -> str:
    """Return a digest of everything that the result of a target depends on: code, tests, sample and seed."""
    digest = hashlib.sha256(f"{sample} {seed} {target}".encode())
    for file in (*source_files(target, root), *source_files(MutationTarget(target.tests, ()), root)):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


class Session:
    """The mutants of one target, in a database of cosmic-ray."""

    def __init__(self, name: str, target: MutationTarget, cosmic_ray: Path, *, sample: int, seed: int) -> None:
        self._target, self._cosmic_ray, self._sample, self._seed = target, cosmic_ray, sample, seed
        stem = f"{name}-{digest_of(target, TREE, sample, seed)}"
        self._database = BUILD / f"{stem}.sqlite"
        self._config = BUILD / f"{stem}.toml"
        self._tests = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not integration"]

    def run(self) -> list[Mutant]:
        """Run the mutants that have no result yet, and return all.

        Raises:
            MutationError: If the tests fail without a mutation, or cosmic-ray fails.
        """
        if not self._database.exists():
            self._initialise()
        self._call("exec")
        return self.mutants()

    def mutants(self) -> list[Mutant]:
        """Return the mutants of the sample in the order of the code."""
        query = """SELECT module_path, start_pos_row, operator_name, test_outcome, diff FROM mutation_specs
            LEFT JOIN work_results USING (job_id) ORDER BY 1, 2, 3"""
        with closing(sqlite3.connect(self._database)) as connection:
            rows = connection.execute(query).fetchall()
        return [
            Mutant(path, row, operator, None if outcome is None else outcome.lower() != "survived", diff or "")
            for path, row, operator, outcome, diff in rows
        ]

    def _initialise(self) -> None:
        started_s = time.monotonic()
        completed = subprocess.run(  # noqa: S603 (the arguments are this module's)
            [*self._tests, *self._target.tests],
            cwd=TREE,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode:
            raise MutationError(
                f"the tests fail without a mutation: {completed.stdout[-2000:]}{completed.stderr[-500:]}"
            )
        timeout_s = max(_MIN_TIMEOUT_S, _TIMEOUT_FACTOR * (time.monotonic() - started_s))
        files = [str(file.relative_to(TREE)) for file in source_files(self._target, TREE)]
        command = " ".join(f"'{argument}'" for argument in (*self._tests, *self._target.tests))
        self._config.write_text(
            f"[cosmic-ray]\nmodule-path = {files}\ntimeout = {timeout_s:.0f}\nexcluded-modules = []\n"
            f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        unsampled = self._database.with_suffix(".unsampled")
        unsampled.unlink(missing_ok=True)
        self._call("init", unsampled)
        self._keep_sample(unsampled)
        unsampled.rename(self._database)

    def _keep_sample(self, database: Path) -> None:
        """Delete all mutants but the sample."""
        query = """SELECT job_id, module_path, start_pos_row, start_pos_col FROM mutation_specs
            ORDER BY module_path, start_pos_row, start_pos_col, operator_name, operator_args, occurrence"""
        with closing(sqlite3.connect(database)) as connection:
            places = {job: Place(*place) for job, *place in connection.execute(query)}
            ranges = {path: annotation_ranges((TREE / path).read_text()) for path in {p.path for p in places.values()}}
            excluded = frozenset(
                job
                for job, place in places.items()
                if any(first <= position_key(place.row, place.column) <= last for first, last in ranges[place.path])
            )
            dropped = places.keys() - choose_mutants(places, excluded, self._sample, self._seed)
            for table in ("mutation_specs", "work_items"):
                statement = f"DELETE FROM {table} WHERE job_id = ?"  # noqa: S608 (the tables above)
                connection.executemany(statement, [(job,) for job in dropped])
            connection.commit()

    def _call(self, command: str, database: Path | None = None) -> None:
        arguments = [str(self._cosmic_ray), command, str(self._config), str(database or self._database)]
        completed = subprocess.run(arguments, cwd=TREE, env=_environment(), capture_output=True, text=True, check=False)  # noqa: S603
        if completed.returncode:
            raise MutationError(f"cosmic-ray {command} failed: {completed.stderr[-2000:]}")


def _environment() -> dict[str, str]:
    paths = os.pathsep.join(str(TREE / folder) for folder in ("services", "model-server", ""))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def format_table(results: Mapping[str, Sequence[Mutant]]) -> Iterator[str]:
    """Yield the lines of the table of mutants, killed, survived and the surviving share."""
    yield "| Target | Mutants | Killed | Survived | Surviving share |"
    yield "|---|---|---|---|---|"
    rows = {**results, "all": [mutant for mutants in results.values() for mutant in mutants]}
    for name, mutants in rows.items():
        killed = sum(mutant.is_killed is True for mutant in mutants)
        survived = len(mutants) - killed
        yield f"| {name} | {len(mutants)} | {killed} | {survived} | {survived / max(len(mutants), 1):.0%} |"


def write_table(document: Path, table: Sequence[str]) -> None:
    """Replace the table of a document."""
    before, _, rest = document.read_text().partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    if not after and TABLE_END not in rest:
        raise MutationError(f"{document} has no lines {TABLE_START.strip()!r} and {TABLE_END.strip()!r}: restore them")
    document.write_text(before + TABLE_START + "\n".join(["", *table, "", ""]) + TABLE_END + after)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants, print the survivors and the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("cosmic_ray", type=Path)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: {' '.join(TARGETS)}")
    parser.add_argument("--sample", type=int, default=30, help="max mutants per target; default: 30")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--max-surviving", type=float, default=1.0, help="max surviving share of all mutants; default: 1"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"unknown target {', '.join(sorted(unknown))}: use {', '.join(TARGETS)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    copy_tree(ROOT, TREE)
    results: dict[str, list[Mutant]] = {}
    for name in options.targets or TARGETS:
        session = Session(name, TARGETS[name], options.cosmic_ray.absolute(), sample=options.sample, seed=options.seed)
        try:
            results[name] = session.run()
        except MutationError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 2
        for mutant in results[name]:
            if not mutant.is_killed:
                sys.stdout.write(f"survived: {mutant.path}:{mutant.line} {mutant.operator}\n{mutant.diff}\n")
    table = list(format_table(results))
    sys.stdout.write("\n".join([*table, ""]))
    if options.write:
        write_table(DOCUMENT, table)
    mutants = [mutant for target in results.values() for mutant in target]
    surviving = sum(not mutant.is_killed for mutant in mutants) / max(len(mutants), 1)
    return int(surviving > options.max_surviving)


if __name__ == "__main__":
    sys.exit(main())
