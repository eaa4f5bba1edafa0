"""RootNav's spline: a Catmull-Rom curve through its control points.

Atkinson et al. 2019, RootNav 2.0, GigaScience 8, giz123, doi:10.1093/gigascience/giz123.
"""

import math

from thale.exports.rsml.document import XY

MAX_SPACING_PX = 4.0


def catmull_rom(control: tuple[XY, ...]) -> tuple[XY, ...]:
    """Return points on the curve through the control points, `SPACING_PX` apart at most; the ends stay where they are.

    The tension is 0.5, as in every file seen: the tangent in a point is half the way between its two neighbours.
    """
    if len(control) < 3:
        return control
    padded = (control[0], *control, control[-1])
    points = [control[0]]
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        steps = max(1, min(64, math.ceil(math.dist(start, end) / MAX_SPACING_PX)))
        points.extend(_interpolate(before, start, end, after, step / steps) for step in range(1, steps))
        points.append(end)
    return tuple(points)


def _interpolate(before: XY, start: XY, end: XY, after: XY, t: float) -> XY:
    """Return the place at t, 0 to 1, between start and end."""

    def along(p0: float, p1: float, p2: float, p3: float) -> float:
        return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))

    x, y = (along(before[axis], start[axis], end[axis], after[axis]) for axis in (0, 1))
    return round(x, 3), round(y, 3)
