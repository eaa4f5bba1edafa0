from collections.abc import Iterator

from thale import errors
from thale.errors import ThaleError
from thale.facade.api.problems import STATUS_CODES, explain


def leaves(kind: type[ThaleError] = ThaleError) -> Iterator[type[ThaleError]]:
    below = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    if not below:
        yield kind
    for child in below:
        yield from leaves(child)


def test_every_error_has_a_row() -> None:
    assert [leaf.__name__ for leaf in leaves() if leaf not in STATUS_CODES] == []


def test_every_error_has_a_name_of_its_own_and_an_explanation() -> None:
    codes = [leaf.code for leaf in leaves()]
    assert len(set(codes)) == len(codes)
    assert all(explain(code) for code in codes)
