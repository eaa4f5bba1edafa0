"""Generator of all dashboards in `generated/`, as Grafana's JSON: `python -m observability.dashboards`."""

from pathlib import Path

from observability.dashboards.registry import render_files

GENERATED = Path(__file__).parent / "generated"


def main() -> None:
    """Write all dashboards, and delete files of dashboards that no longer exist."""
    rendered = render_files()
    for stale_path in GENERATED.rglob("*.json"):
        if stale_path.relative_to(GENERATED).as_posix() not in rendered:
            stale_path.unlink()
    for name, text in rendered.items():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
