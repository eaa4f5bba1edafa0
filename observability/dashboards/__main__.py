"""`python -m observability.dashboards`: write all dashboards into `generated/`, as Grafana reads them."""

from pathlib import Path

from observability.dashboards.registry import files

GENERATED = Path(__file__).parent / "generated"


def main() -> None:
    """Write what is not as it should be, and take away what is there no more."""
    made = files()
    for old in GENERATED.rglob("*.json"):
        if old.relative_to(GENERATED).as_posix() not in made:
            old.unlink()
    for name, text in made.items():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
