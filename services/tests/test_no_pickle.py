"""Tests that no code of the product loads a pickle, which runs arbitrary code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LOADERS = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "cPickle.loads", "dill.load", "dill.loads"),
    *("cloudpickle.load", "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load", "marshal.loads"),
    *("pandas.read_pickle", "pd.read_pickle", "torch.jit.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
}
_SAFE_OPTION = {"torch.load": ("weights_only", True)}
"""Loaders that are safe only with this argument."""
_UNSAFE_OPTION = ("allow_pickle", True)


def find_pickle_loads(source: str) -> Iterator[str]:
    """Yield the calls in a source that can load a pickle."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {
            (keyword.arg, keyword.value.value) for keyword in node.keywords if isinstance(keyword.value, ast.Constant)
        }
        unsafe = name in _SAFE_OPTION and _SAFE_OPTION[name] not in options
        if name in _LOADERS or unsafe or _UNSAFE_OPTION in options:
            yield f"{name} in line {node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["services/thale", "model-server/thale_models", "deploy", "tools", "observability"])
def test_product_loads_no_pickle(folder: str) -> None:
    sources = [path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts]
    found = {str(path.relative_to(ROOT)): list(find_pickle_loads(path.read_text())) for path in sources}
    assert sources
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    ("call", "is_found"),
    [
        ("pickle.loads(data)", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("np.load(path)", False),
        ("safetensors.torch.load_file(path)", False),
    ],
)
def test_find_pickle_loads_knows_the_loaders(call: str, is_found: bool) -> None:
    assert bool(list(find_pickle_loads(call))) == is_found
