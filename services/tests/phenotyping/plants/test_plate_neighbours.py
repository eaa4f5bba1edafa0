import pytest

from tests.support.sample_plates import DrawnMaps, codes, total_px
from thale.phenotyping.plants.reconstruct import reconstruct_plants


def test_reconstruct_assigns_tips_of_crossing_roots() -> None:
    plate = DrawnMaps()
    for x, tip_x in ((150, 450), (450, 150)):
        plate.draw_shoot(x, 92)
        plate.add_landmark("root_base", x, 100)
        plate.add_landmark("primary_tip", tip_x, 500)
    plate.draw_root((150, 100), (450, 500))
    plate.draw_root((450, 100), (150, 500))
    left, right = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert left.roots[0].points[-1] == pytest.approx((450, 500), abs=3)
    assert right.roots[0].points[-1] == pytest.approx((150, 500), abs=3)
    assert [total_px(plant) for plant in (left, right)] == pytest.approx([500, 500], rel=0.01)
    assert left.flags == right.flags == ()


def test_reconstruct_ends_primary_at_neighbour() -> None:
    plate = DrawnMaps()
    left = plate.draw_plant(200, 80, 500)
    plate.draw_shoot(400, 72)
    plate.add_landmark("root_base", 400, 80)
    plate.add_landmark("primary_tip", 204, 400)
    right = plate.draw_root((400, 80), (400, 200), (204, 400))
    plants = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [len(plant.roots) for plant in plants] == [1, 1]
    assert [total_px(plant) for plant in plants] == pytest.approx([left, right], rel=0.02)


@pytest.mark.slow
def test_reconstruct_assigns_lateral_beyond_neighbours_primary() -> None:
    # The lateral of the left plant crosses the primary root of the right plant and continues straight.
    plate = DrawnMaps()
    plate.draw_plant(200, 80, 500)
    right = plate.draw_plant(400, 80, 500)
    lateral = plate.draw_root((200, 200), (500, 400))
    plate.add_landmark("lateral_tip", 500, 400)
    plants = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [len(plant.roots) for plant in plants] == [2, 1]
    assert plants[0].roots[1].length_px == pytest.approx(lateral, rel=0.03)
    assert total_px(plants[1]) == pytest.approx(right, rel=0.02)


def ambiguous_plate() -> DrawnMaps:
    """Return two roots that meet at a flat angle, share 5 mm and separate again."""
    plate = DrawnMaps()
    for x, sign in ((200, 1), (360, -1)):
        plate.draw_shoot(x, 72)
        plate.add_landmark("root_base", x, 80)
        plate.draw_root((x, 80), (280, 260), (280, 340), (280 + 80 * sign, 520))
        plate.add_landmark("primary_tip", 280 + 80 * sign, 520)
    return plate


def test_reconstruct_flags_ambiguous_crossing_with_position() -> None:
    plate = ambiguous_plate()
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 2
    for plant in reconstruction.plants:
        (flag,) = [flag for flag in plant.flags if flag.code == "crossing"]
        assert flag.at is not None
        assert (flag.at.x, flag.at.y) == pytest.approx((280, 300), abs=50)
        assert "crossing at" in flag.message


def test_reconstruct_resolves_crossing_by_lane_of_expected_count() -> None:
    plate = ambiguous_plate()
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks, expected_plants=2)
    assert "crossing" not in codes(reconstruction)
    assert "crossing_by_lane" in codes(reconstruction)
    assert [plant.roots[0].points[-1][0] < 280 for plant in reconstruction.plants] == [True, False]


def test_reconstruct_flags_both_plants_of_shared_tip() -> None:
    # Two bases, and one tip below the point at which the roots meet.
    plate = DrawnMaps()
    for x in (200, 400):
        plate.draw_shoot(x, 72)
        plate.add_landmark("root_base", x, 80)
        plate.draw_root((x, 80), (300, 300))
    plate.draw_root((300, 300), (300, 560))
    plate.add_landmark("primary_tip", 300, 560)
    plants = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plants) == 2
    for plant in plants:
        (flag,) = [flag for flag in plant.flags if flag.code == "tip_shared"]
        assert flag.at is not None
        assert (flag.at.x, flag.at.y) == pytest.approx((300, 300), abs=12)
