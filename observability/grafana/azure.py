"""Put the dashboards into an Azure Managed Grafana, with what `az` is signed in as (Grafana Editor at least).

    python observability/grafana/azure.py gf-thale-dev-1a2b3c

Run again after every change: a dashboard is known by its uid, and the newer replaces the older.
"""

import argparse
import subprocess
import sys
from pathlib import Path

DASHBOARDS = Path(__file__).parents[1] / "dashboards" / "generated" / "azure"


def upload_dashboard(path: Path, grafana: str) -> int:
    """Put one dashboard there. Returns `az`'s exit status; what it has to say goes to standard error."""
    command = ["az", "grafana", "dashboard", "update", "--name", grafana, "--overwrite", "true"]
    result = subprocess.run([*command, "--definition", str(path), "--output", "none"], check=False)  # noqa: S603
    return result.returncode


def main() -> int:
    """Put all of them there, up to the first that is refused. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grafana", help="name of the managed Grafana, as Terraform made it")
    grafana = parser.parse_args().grafana
    for path in sorted(DASHBOARDS.glob("*.json")):
        try:
            status = upload_dashboard(path, grafana)
        except FileNotFoundError:
            sys.stderr.write("az is not there: get https://aka.ms/azure-cli, then run az extension add --name amg\n")
            return 2
        if status:
            sys.stderr.write(f"{grafana} does not take {path.name}; those before it are there\n")
            return status
        sys.stdout.write(f"{path.stem}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
