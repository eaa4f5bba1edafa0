"""Tests of the problem table: every error has a spec, a unique code and a description."""

from collections.abc import Iterator

from thale import errors
from thale.errors import ThaleError
from thale.facade.api.problems import PROBLEM_SPECS, describe_problem


def leaf_errors(error_class: type[ThaleError] = ThaleError) -> Iterator[type[ThaleError]]:
    subclasses = [child for child in error_class.__subclasses__() if child.__module__.startswith(errors.__name__)]
    if not subclasses:
        yield error_class
    for child in subclasses:
        yield from leaf_errors(child)


def test_every_error_has_a_problem_spec() -> None:
    assert [leaf.__name__ for leaf in leaf_errors() if leaf not in PROBLEM_SPECS] == []


def test_every_error_has_a_unique_code_and_description() -> None:
    codes = [leaf.code for leaf in leaf_errors()]
    assert len(set(codes)) == len(codes)
    assert all(describe_problem(code) for code in codes)
