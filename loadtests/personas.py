"""Personas of the scenarios and their weights. Importing `scenarios` would patch Python for gevent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Persona:
    """User class of a scenario in `scenarios`, and its weight among the users."""

    user_class: str
    weight: float


SCENARIOS: Mapping[str, Persona] = {
    "interactive": Persona("Researcher", 4),
    "batch": Persona("BatchUser", 1),
    "burst": Persona("BurstUser", 3),
    "hostile": Persona("HostileUser", 1),
}


def allocate_users(users: int, scenarios: Sequence[str]) -> dict[str, int]:
    """Return the number of users of each class: by weight, with at least one user per class.

    Args:
        users: Total number of users, at least the number of scenarios.
        scenarios: Names from `SCENARIOS`.
    """
    personas = [SCENARIOS[name] for name in scenarios]
    counts = {persona.user_class: 1 for persona in personas}
    for _ in range(users - len(personas)):
        next_persona = max(personas, key=lambda persona: persona.weight / counts[persona.user_class])
        counts[next_persona.user_class] += 1
    return counts
