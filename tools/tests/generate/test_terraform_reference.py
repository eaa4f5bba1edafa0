"""The generated reference matches Terraform's variables and outputs."""

from tools.generate.terraform_reference import REFERENCE, reference


def test_terraform_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text() == reference(), "run `make generate`"
