"""Number of cores that this process may use: its affinity, and the CPU limit of its cgroup.

A container has a CPU limit as a quota of time, and still sees all cores of its machine. One thread per visible core
would then wait for most of each period.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class AvailableCores:
    """A number of cores with its reason, for a message to the operator."""

    count: int
    reason: str


def available_cores(own_cgroup: Path = _OWN_CGROUP, cgroups: Path = _CGROUPS) -> AvailableCores:
    """Return the number of cores for the threads of this process: at least one, and a fraction counts as one more.

    Args:
        own_cgroup: File with the cgroup of this process.
        cgroups: Mount point of the cgroups (version 2, or the controllers of version 1).
    """
    visible = len(os.sched_getaffinity(0))
    limit = min(_limits(own_cgroup, cgroups), default=math.inf)
    if limit >= visible:
        return AvailableCores(visible, f"{visible} {'core' if visible == 1 else 'cores'}")
    return AvailableCores(max(1, math.ceil(limit)), f"CPU limit of {limit:g} of {visible} cores")


def _limits(own_cgroup: Path, cgroups: Path) -> Iterator[float]:
    """Yield the CPU limits of the cgroup of this process and of its parents, in cores."""
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:  # no cgroups on this system
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, read = cgroups, _read_version_2
        elif "cpu" in controllers.split(","):
            folder, read = cgroups / "cpu", _read_version_1
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            limit = read(folder.joinpath(*parts[:depth]))
            if limit is not None:
                yield limit


def _read_version_2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_version_1(folder: Path) -> float | None:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return None if quota < 0 else quota / period
    except (OSError, ValueError, ZeroDivisionError):
        return None
