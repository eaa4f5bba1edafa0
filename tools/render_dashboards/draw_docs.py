"""Draw docs/dashboards from the real stack: start it, load it, let rollouts happen, and ask a real Prometheus.

python tools/render_dashboards/draw_docs.py --minutes 15
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HELPERS = ("observability/tests", "services/tests/release", "model-server/tests")
sys.path[:0] = [str(ROOT), *(str(ROOT / folder) for folder in HELPERS)]

from tests.support.full_stack import running_stack  # noqa: E402 (a helper of the tests, found by the line above)
from tools.render_dashboards.preview import draw_all, last_minutes  # noqa: E402


def main() -> int:
    """Draw them. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15, help="how long people ask before the pictures are drawn")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        began = time.monotonic()
        stack.live_through_rollouts()
        time.sleep(max(0.0, 60 * minutes - (time.monotonic() - began)))
        draw_all(stack.prometheus.url, last_minutes(minutes), ROOT / "docs" / "dashboards")
    return 0


if __name__ == "__main__":
    sys.exit(main())
