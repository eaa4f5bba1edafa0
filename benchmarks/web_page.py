"""Figures of the web page in headless Chromium: first paint, size, frame rate, and time per corrected plant.

`web/e2e/figures.e2e.ts` measures and checks the limits. The page and `/v1/traits` come from a real server. A synthetic
plate replaces the models: 30 plants, 500 roots and 20 000 points on a photograph of 12 megapixels. Headless Chromium
renders without a GPU, so that the frame rate is a lower bound. The main thread's time is that of the page itself.

    make web && python benchmarks/web_page.py
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.facade_without_models import settings_of
from tests.support.running_facade import running_facade

ROOT = Path(__file__).parents[1]
NODE = ROOT / ".tools" / "node" / "bin"
FIGURE = re.compile(r"figure: (.*)")


def measure(url: str) -> str:
    """Return the output of the measurement. Exit with it if a limit is exceeded, or the page does not work."""
    environment = {**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}", "THALE_URL": f"{url}/"}
    command = ["npm", "--prefix", "web", "run", "e2e", "--", "figures"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)  # noqa: S603 (ours)
    if run.returncode != 0:
        sys.exit(run.stdout)
    return run.stdout


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, running_facade(settings_of(Path(folder))) as facade:
        output = measure(facade.url)
    for figure in FIGURE.findall(output):
        print(figure)  # noqa: T201


if __name__ == "__main__":
    main()
