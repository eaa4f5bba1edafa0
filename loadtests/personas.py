"""Who plays which scenario, and how many. Apart from `scenarios`, because importing that patches Python for gevent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Persona:
    """The class of `scenarios` that plays a scenario, and its share of the users."""

    user_class: str
    weight: float


SCENARIOS: Mapping[str, Persona] = {
    "interactive": Persona("Researcher", 4),
    "batch": Persona("BatchUser", 1),
    "burst": Persona("BurstUser", 3),
    "hostile": Persona("HostileUser", 1),
}


def allocate_users(users: int, scenarios: Sequence[str]) -> dict[str, int]:
    """Return how many users of each class there are: by weight, every class at least once.

    Args:
        users: All of them; at least as many as scenarios.
        scenarios: Names out of `SCENARIOS`.
    """
    personas = [SCENARIOS[name] for name in scenarios]
    counts = {persona.user_class: 1 for persona in personas}
    for _ in range(users - len(personas)):
        neediest = max(personas, key=lambda persona: persona.weight / counts[persona.user_class])
        counts[neediest.user_class] += 1
    return counts
