"""Splines of RootNav: Catmull-Rom curves through control points.

Atkinson et al. 2019, RootNav 2.0, GigaScience 8, giz123, doi:10.1093/gigascience/giz123.
"""

import math

from thale.exports.rsml.document import XY

SPACING_PX = 4.0
_MAX_STEPS = 64


def catmull_rom(control: tuple[XY, ...]) -> tuple[XY, ...]:
    """Return points on the curve through the control points, which include the control points.

    The points are about `SPACING_PX` apart. A curve between two control points has up to 64 points. The tension is 0.5,
    as in all published files: the tangent at a point is half the vector between its neighbours.
    """
    if len(control) < 3:
        return control
    padded = (control[0], *control, control[-1])
    points = [control[0]]
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        steps = max(1, min(_MAX_STEPS, math.ceil(math.dist(start, end) / SPACING_PX)))
        points.extend(_interpolate(before, start, end, after, step / steps) for step in range(1, steps))
        points.append(end)
    return tuple(points)


def _interpolate(before: XY, start: XY, end: XY, after: XY, t: float) -> XY:
    """Return the point at t, from 0 (start) to 1 (end)."""

    def along(p0: float, p1: float, p2: float, p3: float) -> float:
        return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))

    x, y = (along(before[axis], start[axis], end[axis], after[axis]) for axis in (0, 1))
    return round(x, 3), round(y, 3)
