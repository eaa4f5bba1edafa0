"""Writes REFERENCE.md: every variable and output of bootstrap/ and azure/, as the files themselves describe them."""

import json
import sys
from pathlib import Path
from typing import Any

import hcl2

FOLDER = Path(__file__).parent
REFERENCE = FOLDER / "REFERENCE.md"
_REQUIRED = object()


def reference() -> str:
    """Return the reference in Markdown."""
    lines = [
        "# Variables and outputs",
        "",
        "Written by `make terraform-reference` from the files themselves. Types say what Terraform takes; what a value",
        "must keep to stands beside it.",
    ]
    for folder in ("bootstrap", "azure"):
        lines += [
            "",
            f"## {folder}",
            "",
            "| Variable | Type | Default | What it is | Must keep to |",
            "|---|---|---|---|---|",
        ]
        lines += [_variable_row(name, facts) for name, facts in _blocks(folder, "variables.tf", "variable")]
        lines += ["", "| Output | What it is |", "|---|---|"]
        lines += [
            f"| `{name}` | {_text(facts['description'])} |" for name, facts in _blocks(folder, "outputs.tf", "output")
        ]
    return "\n".join(lines) + "\n"


def _blocks(folder: str, file: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    parsed = hcl2.loads((FOLDER / folder / file).read_text())
    return [(_text(name), facts) for block in parsed[kind] for name, facts in block.items()]


def _variable_row(name: str, facts: dict[str, Any]) -> str:
    default = facts.get("default", _REQUIRED)
    shown = "required" if default is _REQUIRED else f"`{json.dumps(_plain(default))}`"
    kind = " ".join(_text(facts["type"]).removeprefix("${").removesuffix("}").split())
    rules = " ".join(_text(rule["error_message"]) for rule in facts.get("validation", []))
    return f"| `{name}` | `{_cell(kind)}` | {_cell(shown)} | {_cell(_text(facts['description']))} | {_cell(rules)} |"


def _plain(value: Any) -> Any:
    """Return a default without the marks and quotes that the parser leaves in."""
    if isinstance(value, dict):
        return {_text(key): _plain(entry) for key, entry in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return value.removeprefix('"').removesuffix('"')


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the reference. Returns the exit status."""
    REFERENCE.write_text(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
