"""The prose linter finds forbidden words, docstring openings and long test names."""

from pathlib import Path

import pytest

from tools import prose_lint
from tools.prose_lint import find_problems

PYTHON_FILE = Path("module.py")
TEXT_FILE = Path("README.md")


def messages(path: Path, text: str) -> list[tuple[int, str]]:
    return list(find_problems(path, text))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The loop starts Anew.", "Anew"),
        ("The facade tells the client.", "tells"),
        ("It has been told that so many requests failed.", "told"),
        ("The rollout goes on.", "goes on"),
    ],
)
def test_find_problems_finds_words_in_text(text: str, word: str) -> None:
    assert (2, f"use a standard term for {word!r}") in messages(TEXT_FILE, f"First line.\n{text}\n")


@pytest.mark.parametrize("text", ["understands", "standsstill", "hotels", "profounders", "tellscope"])
def test_find_problems_ignores_parts_of_words(text: str) -> None:
    assert messages(TEXT_FILE, text) == []


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("x = 1\nis_anew = True\n", 2),
        ("class RootFounder:\n    pass\n", 1),
        ("def f(told):\n    return told\n", 1),
        ("x = 1  # nobody reads it\n", 1),
        ('raise ValueError("no; so many")\n', 1),
        ('"""Module.\n\nThis line is heard.\n"""\n', 3),
    ],
    ids=["variable", "class", "parameter", "comment", "message", "docstring"],
)
def test_find_problems_reports_line_of_python_token(code: str, line: int) -> None:
    assert line in [number for number, message in messages(PYTHON_FILE, code) if "use a standard term" in message]


@pytest.mark.parametrize("opening", ["What", "Who", "Where", "When", "How", "Whether", "Which", "Why"])
def test_find_problems_rejects_docstring_opening(opening: str) -> None:
    code = f'def f():\n    """{opening} the function returns."""\n'
    assert messages(PYTHON_FILE, code) == [
        (1, f"name the thing in the first docstring line; it starts with {opening!r}")
    ]


def test_find_problems_accepts_plain_docstrings() -> None:
    assert messages(PYTHON_FILE, '"""Wherever routing."""\n\n\nclass A:\n    """A whole class."""\n') == []


@pytest.mark.parametrize(("length", "count"), [(60, 0), (61, 1)])
def test_find_problems_limits_test_name_length(length: int, count: int) -> None:
    name = "test_" + "x" * (length - len("test_"))
    assert len(messages(PYTHON_FILE, f"def {name}():\n    pass\n")) == count


def test_find_problems_does_not_limit_other_names() -> None:
    assert messages(PYTHON_FILE, f"def {'x' * 80}():\n    pass\n") == []


def test_main_returns_1_and_prints_each_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("It goes on.\nNobody knows.\n")
    monkeypatch.setattr(prose_lint, "_tracked_files", lambda _: [page])
    assert prose_lint.main([]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"{page}:1: use a standard term for 'goes on'",
        f"{page}:2: use a standard term for 'Nobody'",
    ]
    assert captured.err == "2 problems\n"


def test_main_returns_0_when_there_are_no_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("The server returns a response.\n")
    monkeypatch.setattr(prose_lint, "_tracked_files", lambda _: [page])
    assert prose_lint.main([]) == 0
    assert capsys.readouterr().err == "prose: no problems\n"


def test_tracked_files_selects_checked_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(prose_lint.__file__).parents[1])
    selected = prose_lint._tracked_files(["tools", "Makefile", "LICENSE", "CHANGELOG.md"])
    assert {Path("Makefile"), Path("tools/__init__.py")} <= set(selected)
    assert not {Path("LICENSE"), Path("CHANGELOG.md"), Path("tools/prose_lint.py")} & set(selected)
