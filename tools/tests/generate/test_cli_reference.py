"""Tests of the command reference."""

from tools.generate.cli_reference import PAGE, render_page


def test_cli_md_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: make generate"


def test_reference_has_options_of_nested_commands() -> None:
    _, _, canary = render_page().partition("#### `thale release canary`")
    assert "* `--why <str>`: Reason for the change" in canary.partition("####")[0]


def test_summaries_are_not_shortened() -> None:
    page = render_page()
    assert "* `up`: Start the local platform (facade and TorchServe), and serve until Ctrl-C." in page
    assert not [line for line in page.splitlines() if line.startswith("* `") and line.endswith("...")]
