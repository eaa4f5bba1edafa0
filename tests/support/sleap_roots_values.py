"""Values of sleap-roots for drawn root systems, to compare the traits of thale with an independent implementation.

sleap-roots is not a dependency, because it needs 50 further packages. Its values are in `sleap_roots.json`. To compute
them again, run in an environment of its own with sleap-roots:

    python tests/support/sleap_roots_values.py > tests/support/sleap_roots.json
"""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("sleap_roots.json")
Polyline = tuple[tuple[float, float], ...]


def drawn_roots(number: int) -> tuple[Polyline, ...]:
    """Return a primary root and its laterals as polylines in px: wavy, leaning, with 3 to 5 laterals."""
    lean = (-0.35, 0.05, 0.6)[number]
    primary = tuple(
        (round(300 + lean * down + 12 * math.sin(down / 35 + number), 2), float(100 + down))
        for down in range(0, 801, 8)
    )
    laterals = []
    for index in range(3 + number):
        x, y = primary[15 + 14 * index]
        side = -1 if index % 2 else 1
        steps = range(0, 160 - 20 * index, 5)
        laterals.append(tuple((round(x + side * 0.8 * s, 2), round(y + 0.004 * s**2 + 0.3 * s, 2)) for s in steps))
    return (primary, *laterals)


ROOT_SYSTEMS = 3


def sleap_roots_values(roots: tuple[Polyline, ...]) -> dict[str, Any]:
    """Return the values of sleap-roots for one root system, in px and degrees.

    Raises:
        ImportError: If sleap-roots is not installed.
    """
    import numpy as np
    from sleap_roots import angle, convhull, lengths, networklength

    nodes = max(map(len, roots))
    points = np.full((len(roots), nodes, 2), np.nan)
    for index, root in enumerate(roots):
        points[index, : len(root)] = root
    primary = np.array([roots[0]])
    root_lengths = [float(lengths.get_root_lengths(np.array([root]))) for root in roots]
    base_tip = math.dist(roots[0][0], roots[0][-1])
    hull = convhull.get_convhull(points)
    box = networklength.get_bbox(points)
    return {
        "root_lengths": root_lengths,
        "network_length": float(networklength.get_network_length(*root_lengths)),
        "curve_index": float(lengths.get_curve_index(root_lengths[0], base_tip)),
        "angle": float(angle.get_root_angle(primary, angle.get_node_ind(primary, proximal=False), proximal=False)),
        "width": float(networklength.get_bbox_width(box)),
        "depth": float(networklength.get_bbox_height(box)),
        "width_depth_ratio": float(networklength.get_network_width_depth_ratio(points)),
        "hull_area": float(convhull.get_chull_area(hull)),
    }


if __name__ == "__main__":
    values = [sleap_roots_values(drawn_roots(number)) for number in range(ROOT_SYSTEMS)]
    json.dump({"sleap-roots": version("sleap-roots"), "values": values}, sys.stdout, indent=1)
    sys.stdout.write("\n")
