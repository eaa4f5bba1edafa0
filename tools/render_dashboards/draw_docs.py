"""Renderer of the images in docs/dashboards: runs the real stack under load, with rollouts and a real Prometheus.

python tools/render_dashboards/draw_docs.py --minutes 15
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.full_stack import run_full_stack  # noqa: E402 (needs the path set above)
from tools.render_dashboards.preview import recent_period, render_all  # noqa: E402


def main() -> int:
    """Render all images. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15, help="minutes of load before the images are rendered")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder, run_full_stack(Path(folder)) as stack:
        started_s = time.monotonic()
        stack.run_rollouts()
        time.sleep(max(0.0, 60 * minutes - (time.monotonic() - started_s)))
        render_all(stack.prometheus.url, recent_period(minutes), ROOT / "docs" / "dashboards")
    return 0


if __name__ == "__main__":
    sys.exit(main())
