"""Tests of mutation testing: the sample, its table, and a run of cosmic-ray's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tools import mutation
from tools.mutation import Mutant, MutationError, Place, choose_mutants, format_table

PLACES = {f"{row}-{number}": Place("a.py", row, 4) for row in range(50) for number in range(4)}


def test_sample_is_seeded_and_has_one_mutant_per_place() -> None:
    chosen = choose_mutants(PLACES, frozenset(), 20, seed=7)
    renamed = {f"{99 - index}": place for index, place in enumerate(PLACES.values(), start=-200)}
    assert [PLACES[job] for job in chosen] == [renamed[job] for job in choose_mutants(renamed, frozenset(), 20, seed=7)]
    assert chosen != choose_mutants(PLACES, frozenset(), 20, seed=8)
    assert len(chosen) == len({PLACES[job] for job in chosen}) == 20
    assert len(choose_mutants(PLACES, frozenset(), 1000, seed=7)) == 50


def test_sample_leaves_out_excluded_mutants() -> None:
    excluded = frozenset(job for job in PLACES if not job.endswith("-2"))
    assert {job[-1] for job in choose_mutants(PLACES, excluded, 1000, seed=7)} == {"2"}


def test_annotations_are_found_and_expressions_are_not() -> None:
    source = "def f(a: int | None, b=1 | 2) -> str | None:\n    c: int | str = 1 | 4\n    return c\n"
    found = []
    for row, line in enumerate(source.splitlines(), start=1):
        for column, character in enumerate(line):
            key = mutation.position_key(row, column)
            if character == "|" and any(first <= key <= last for first, last in mutation.annotation_ranges(source)):
                found.append((row, column))
    assert found == [(1, 13), (1, 37), (2, 11)]


def test_table_counts_mutants_without_a_result_as_survivors() -> None:
    def mutant(*, is_killed: bool | None) -> Mutant:
        return Mutant("a.py", 1, "operator", is_killed, "")

    results = {
        "traits": [mutant(is_killed=True), mutant(is_killed=True), mutant(is_killed=False), mutant(is_killed=None)],
        "judge": [mutant(is_killed=True)],
    }
    rows = list(format_table(results))[2:]
    assert rows == ["| traits | 4 | 2 | 2 | 50% |", "| judge | 1 | 1 | 0 | 0% |", "| all | 5 | 3 | 2 | 40% |"]


def test_table_replaces_the_one_of_the_document(tmp_path: Path) -> None:
    document = tmp_path / "testing.md"
    document.write_text(f"before\n{mutation.TABLE_START}\n| old |\n\n{mutation.TABLE_END}after\n")
    for _ in range(2):
        mutation.write_table(document, ["| new |"])
    assert document.read_text() == f"before\n{mutation.TABLE_START}\n| new |\n\n{mutation.TABLE_END}after\n"
    document.write_text("no table\n")
    with pytest.raises(MutationError, match="restore them"):
        mutation.write_table(document, ["| new |"])


def test_targets_name_existing_modules_and_tests() -> None:
    for name, target in mutation.TARGETS.items():
        assert mutation.source_files(target, mutation.ROOT), name
        missing = [path for path in (*target.modules, *target.tests) if not (mutation.ROOT / path).exists()]
        assert missing == [], name


def test_unknown_target_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        mutation.main(["cosmic-ray", "judges"])
    assert "unknown target judges: use traits, exports" in capsys.readouterr().err


COSMIC_RAY = """#!/usr/bin/env python3
import sqlite3, sys
connection = sqlite3.connect(sys.argv[3])
if sys.argv[1] == "init":
    connection.execute("CREATE TABLE work_items (job_id)")
    columns = "module_path, operator_name, start_pos_row, start_pos_col, operator_args, occurrence, job_id"
    connection.execute(f"CREATE TABLE mutation_specs ({columns})")
    connection.execute("CREATE TABLE work_results (test_outcome, diff, job_id)")
    for row in (1, 2, 3):
        connection.execute("INSERT INTO work_items VALUES (?)", (str(row),))
        query = "INSERT INTO mutation_specs VALUES ('code.py', 'core/Add', ?, 0, '{}', 0, ?)"
        connection.execute(query, (row, str(row)))
elif sys.argv[1] == "exec":
    for outcome, job in (("KILLED", "1"), ("SURVIVED", "2")):
        if not connection.execute("SELECT 1 FROM work_results WHERE job_id = ?", (job,)).fetchone():
            query = "INSERT INTO work_results SELECT ?, 'diff', job_id FROM work_items WHERE job_id = ?"
            connection.execute(query, (outcome, job))
connection.commit()
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mutation.MutationTarget:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/code.py").write_text("a = 1\nb = 2\nc = 3\n")
    (tmp_path / "tree/test_code.py").write_text("def test_code():\n    import code\n")
    (tmp_path / "cosmic-ray").write_text(COSMIC_RAY)
    (tmp_path / "cosmic-ray").chmod(0o755)
    monkeypatch.setattr(mutation, "BUILD", tmp_path)
    monkeypatch.setattr(mutation, "TREE", tmp_path / "tree")
    return mutation.MutationTarget(("code.py",), ("test_code.py",))


@pytest.mark.slow
def test_session_runs_the_sample_and_continues(tmp_path: Path, target: mutation.MutationTarget) -> None:
    session = mutation.Session("code", target, tmp_path / "cosmic-ray", sample=2, seed=7)
    mutants = session.run()
    assert len(mutants) == 2
    [database] = tmp_path.glob("code-*.sqlite")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM work_items").fetchone() == (2,)
    (tmp_path / "tree/test_code.py").write_text("def test_code():\n    assert False\n")
    assert session.run() == mutants  # without the tests of a new session, because the sample exists


@pytest.mark.slow
def test_session_fails_if_tests_fail_without_mutation(tmp_path: Path, target: mutation.MutationTarget) -> None:
    (tmp_path / "tree/test_code.py").write_text("def test_code():\n    assert 1 == 2\n")
    session = mutation.Session("code", target, tmp_path / "cosmic-ray", sample=2, seed=7)
    with pytest.raises(MutationError, match=r"(?s)the tests fail without a mutation.*1 == 2"):
        session.run()
    assert not list(tmp_path.glob("*.sqlite"))
