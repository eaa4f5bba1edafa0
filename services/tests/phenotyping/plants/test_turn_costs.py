import pytest

from tests.support.skeleton_drawings import draw_graph, t_junction
from thale.phenotyping.plants.path_search import FREE_TURN_DEG, RIVAL_COST, TURN_COST, TurnCosts


def test_turn_cost_is_zero_straight_through_fork() -> None:
    example = t_junction()
    assert TurnCosts(example.graph).cost(example.edges("AX"), example.edge("XB")) == 0


def test_turn_cost_counts_angle_beyond_free_turn() -> None:
    example = t_junction()
    right_angle = TURN_COST * (90 - FREE_TURN_DEG) / 90
    assert TurnCosts(example.graph).cost(example.edges("AX"), example.edge("XC")) == pytest.approx(right_angle)
    assert TurnCosts(example.graph).cost(example.edges("BX"), example.edge("XC")) == pytest.approx(right_angle)


def test_turn_cost_adds_rival_that_goes_straight() -> None:
    # C is straight below A. From B, the turn towards C is 90 degrees, and A is the rival.
    example = draw_graph(
        """
        ...A....
        ........
        ........
        B..X....
        ........
        ........
        ...C....
        """,
        *("AX", "BX", "XC"),
    )
    right_angle = (90 - FREE_TURN_DEG) / 90
    cost = TurnCosts(example.graph).cost(example.edges("BX"), example.edge("XC"))
    assert cost == pytest.approx((TURN_COST + RIVAL_COST) * right_angle)


def test_turn_cost_ignores_rival_without_base() -> None:
    # L and R are laterals on both sides of the primary root. No root comes from the tip of L.
    example = draw_graph(
        """
        ...A...
        .......
        .......
        L..X..R
        .......
        .......
        ...B...
        """,
        *("AX", "XB", "XL", "XR"),
    )
    turn_costs = TurnCosts(example.graph, bases={example.nodes["A"]})
    cost = turn_costs.cost(example.edges("AX"), example.edge("XR"))
    assert cost == pytest.approx(TURN_COST * (90 - FREE_TURN_DEG) / 90)


def test_turn_cost_is_zero_at_node_of_two_segments() -> None:
    example = draw_graph(
        """
        A....X
        ......
        .....B
        """,
        *("AX", "XB"),
    )
    assert TurnCosts(example.graph).cost(example.edges("AX"), example.edge("XB")) == 0
