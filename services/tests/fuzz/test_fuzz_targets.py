"""Fuzzing of the parsers of untrusted bytes: mutations of valid inputs, and the corpus of inputs that once failed.

`make fuzz` searches for more with atheris.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import SEEDS, TARGETS

CORPUS = Path(__file__).parent / "corpus"
CORPUS_FILES = sorted(file for file in CORPUS.glob("*/*") if file.is_file())
MAX_CORPUS_BYTES = 8192

_POSITIONS = st.floats(0, 1, exclude_max=True)
_KINDS = st.sampled_from(("replace", "insert", "delete", "repeat"))
_EDITS = st.lists(
    st.tuples(_POSITIONS, _KINDS, st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=8,
)


def mutate(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    mutated = bytearray(data)
    for position, kind, content in edits:
        start = int(position * (len(mutated) + 1))
        end = start + len(content)
        match kind:
            case "replace":
                mutated[start:end] = content
            case "insert":
                mutated[start:start] = content
            case "delete":
                del mutated[start:end]
            case "repeat":
                mutated[start:start] = mutated[start:end] * 50
    return bytes(mutated)


@pytest.mark.parametrize("target", TARGETS)
def test_target_accepts_its_seeds(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_target_raises_only_its_errors_for_mutations(target: str, data: st.DataObject) -> None:
    TARGETS[target](mutate(data.draw(st.sampled_from(SEEDS[target])), data.draw(_EDITS)))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_target_raises_only_its_errors_for_any_bytes(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("file", CORPUS_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_target_accepts_the_corpus(file: Path) -> None:
    assert file.stat().st_size <= MAX_CORPUS_BYTES
    TARGETS[file.parent.name](file.read_bytes())
