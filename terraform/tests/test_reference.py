import importlib.util
from pathlib import Path


def test_the_reference_says_what_the_files_say() -> None:
    path = Path(__file__).parents[1] / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.REFERENCE.read_text() == module.reference(), "run `make terraform-reference`"
