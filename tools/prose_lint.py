"""Prose linter: words that the house style forbids, and the form of docstrings and test names.

    python -m tools.prose_lint [PATH ...]

The words are private metaphors and informal verbs that have a standard term in `docs/glossary.md`. Python identifiers
are split into words, so `is_anew` is found as well. The exit status is 1 if there are problems.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

TEXT_SUFFIXES = frozenset({".css", ".hcl", ".md", ".sh", ".tf", ".tfvars", ".toml", ".yaml", ".yml"})
TEXT_NAMES = frozenset({"Dockerfile", "Makefile", "config.properties", "run", "wheel-imports", "worker"})
EXEMPT = frozenset(
    {"tools/prose_lint.py", "tools/tests/test_prose_lint.py", "CHANGELOG.md", "kubernetes/base/first-release.yaml"}
)
"""The linter and its test contain the words, the changelog lists former names, and registered cards are quoted."""

WORDS = re.compile(
    r"(?<![a-z])(anew|asking|beside|errands?|found(?:er|ers|ing)|heard|nobody|reckon(?:s|ed|ing)?|somebody|stands"
    r"|tells|told|untold|whoever|wish(?:es)?|goes on|held against|(?-i:is none)|makes no sense|of one's own|so many"
    r"|taken back)(?![a-z])",
    re.IGNORECASE,
)
DOCSTRING_START = re.compile(r"\s*(What|Who|Whose|Where|When|How|Whether|Which|Why)\b")
MAX_TEST_NAME_LENGTH = 60


def find_problems(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and message of each problem in a file."""
    if path.suffix != ".py":
        for number, text_line in enumerate(text.splitlines(), 1):
            yield from ((number, f"use a standard term for {match!r}") for match in WORDS.findall(text_line))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        words = _split_identifier(token.string) if token.type == tokenize.NAME else token.string
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING):
            for match in WORDS.finditer(words):
                line = token.start[0] + words[: match.start()].count("\n")
                yield line, f"use a standard term for {match[0]!r}"
    yield from _find_form_problems(ast.parse(text))


def _split_identifier(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")


def _find_form_problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        line = getattr(node, "lineno", 1)
        docstring = ast.get_docstring(node, clean=False)
        if docstring is not None and (match := DOCSTRING_START.match(docstring)):
            yield line, f"name the thing in the first docstring line; it starts with {match[1]!r}"
        name = getattr(node, "name", "")
        if name.startswith("test_") and len(name) > MAX_TEST_NAME_LENGTH:
            yield line, f"{name} has {len(name)} characters; the limit is {MAX_TEST_NAME_LENGTH}"


def _tracked_files(arguments: list[str]) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *arguments]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (a list, never a shell)
    return [
        path
        for path in map(Path, listed.stdout.splitlines())
        if path.is_file()
        and str(path) not in EXEMPT
        and (path.suffix == ".py" or path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES)
    ]


def main(arguments: list[str]) -> int:
    """Check the tracked files below the given paths, by default all of them. Returns the exit status."""
    count = 0
    for path in _tracked_files(arguments):
        for line, message in sorted(set(find_problems(path, path.read_text(encoding="utf-8")))):
            print(f"{path}:{line}: {message}")  # noqa: T201
            count += 1
    print(f"{count} problems" if count else "prose: no problems", file=sys.stderr)  # noqa: T201
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
