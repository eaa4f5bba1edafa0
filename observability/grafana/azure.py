"""Upload of the dashboards to an Azure Managed Grafana, as the user of `az` (role Grafana Editor or higher).

    python observability/grafana/azure.py gf-thale-dev-1a2b3c

Run it after every change. It replaces dashboards by their UID.
"""

import argparse
import subprocess
import sys
from pathlib import Path

DASHBOARDS = Path(__file__).parents[1] / "dashboards" / "generated" / "azure"


def upload_dashboard(path: Path, grafana: str) -> int:
    """Upload one dashboard. Returns the exit status of `az`, whose messages go to standard error."""
    command = ["az", "grafana", "dashboard", "update", "--name", grafana, "--overwrite", "true"]
    result = subprocess.run([*command, "--definition", str(path), "--output", "none"], check=False)  # noqa: S603
    return result.returncode


def main() -> int:
    """Upload all dashboards, and stop at the first failure. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grafana", help="name of the managed Grafana that Terraform created")
    grafana = parser.parse_args().grafana
    for path in sorted(DASHBOARDS.glob("*.json")):
        try:
            status = upload_dashboard(path, grafana)
        except FileNotFoundError:
            sys.stderr.write("az not found: install https://aka.ms/azure-cli, then run az extension add --name amg\n")
            return 2
        if status:
            sys.stderr.write(f"{grafana} rejected {path.name}; the dashboards before it are uploaded\n")
            return status
        sys.stdout.write(f"{path.stem}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
