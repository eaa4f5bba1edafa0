import math

import pytest

from tests.support.sample_plates import DrawnMaps
from thale.phenotyping.plants.contested_roots import contested_shares, exchange_margins, rival_probability
from thale.phenotyping.plants.reconstruct import reconstruct_plants
from thale.phenotyping.plants.root_assignment import TracedRoot


def test_contested_shares_count_root_for_both_plants() -> None:
    # A lateral of 10 mm on a plant of 40 mm can equally be its neighbour's, which has 20 mm.
    roots = [TracedRoot(0, []), TracedRoot(0, [], parent=0, rival=1, margin=0.0), TracedRoot(1, [])]
    assert contested_shares(roots, [30, 10, 20], 2) == pytest.approx([5 / 40, 5 / 20])


def test_contested_shares_are_zero_without_rivals() -> None:
    assert contested_shares([TracedRoot(0, [])], [30], 2) == [0.0, 0.0]


def test_exchange_margins_add_roots_up_to_5_percent() -> None:
    # Of 100 mm, the neighbour (20 mm) can have 4 mm at a margin of 0.5, and 10 mm more at a margin of 2.
    roots = [TracedRoot(0, [])]
    roots += [TracedRoot(0, [], parent=0, rival=1, margin=margin) for margin in (2.0, 0.5)]
    roots += [TracedRoot(1, [])]
    assert exchange_margins(roots, [86, 10, 4, 20], 2) == [2.0, 0.5]
    assert exchange_margins(roots[:1], [86], 1) == [math.inf]


def test_rival_probability_falls_with_margin() -> None:
    assert rival_probability(0.0) == 0.5
    assert 0.0 < rival_probability(3.0) < rival_probability(0.4) < 0.5
    assert rival_probability(1e6) == rival_probability(math.inf) == 0.0


def plate_of_crossing(*beyond_x: float) -> DrawnMaps:
    """Return two primary roots that meet at a flat angle, share 5 mm and end at x (px) beyond."""
    plate = DrawnMaps()
    for x, tip_x in zip((200, 360), beyond_x, strict=True):
        plate.draw_shoot(x, 72)
        plate.add_landmark("root_base", x, 80)
        plate.draw_root((x, 80), (280, 260), (280, 340), (tip_x, 520))
        plate.add_landmark("primary_tip", tip_x, 520)
    return plate


def test_reconstruct_gives_contested_shares_of_both_plants() -> None:
    ambiguous = plate_of_crossing(360, 200)
    shares = reconstruct_plants(ambiguous.to_prediction(), ambiguous.landmarks).contested_shares
    assert set(shares) == {1, 2}
    assert min(shares.values()) > 0.3


def test_reconstruct_gives_no_contested_share_to_lone_plants() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 500)
    plate.draw_plant(450, 80, 500)
    assert reconstruct_plants(plate.to_prediction(), plate.landmarks).contested_shares == {1: 0.0, 2: 0.0}
