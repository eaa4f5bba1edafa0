"""Who plays which scenario, and how many. Apart from `scenarios`, because importing that patches Python for gevent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """The class of `scenarios` that plays a scenario, and its share of the users."""

    user_class: str
    weight: float


SCENARIOS: Mapping[str, Role] = {
    "desk": Role("Researcher", 4),
    "night": Role("NightBatch", 1),
    "lunch": Role("AfterLunch", 3),
    "hostile": Role("Hostile", 1),
}


def shared_out(users: int, scenarios: Sequence[str]) -> dict[str, int]:
    """Return how many users of each class there are: by weight, every class at least once.

    Args:
        users: All of them; at least as many as scenarios.
        scenarios: Names out of `SCENARIOS`.
    """
    roles = [SCENARIOS[name] for name in scenarios]
    counts = {role.user_class: 1 for role in roles}
    for _ in range(users - len(roles)):
        neediest = max(roles, key=lambda role: role.weight / counts[role.user_class])
        counts[neediest.user_class] += 1
    return counts
