import numpy as np
import pytest

from tests.support.skeleton_drawings import Network, network
from thale.phenotyping.plants.plant_detection import PlantCandidate, detect_plants
from thale.phenotyping.plants.polyline import Points
from thale.schemas import Flag, Landmark


def detect(drawn: Network, *landmarks: Landmark, tips: str = "") -> tuple[list[PlantCandidate], list[Flag]]:
    return detect_plants(drawn.maps, drawn.graph, landmarks, [drawn.nodes[letter] for letter in tips])


def codes(flags: list[Flag]) -> list[str]:
    return [flag.code for flag in flags]


def column(*rows: str) -> str:
    return "\n".join(rows)


def seedling(length_mm: int = 9) -> Network:
    """A shoot of 3 square millimetres above a root that runs from A to B."""
    return network(column(".....", ".@@@.", "..A..", *["....."] * (length_mm - 1), "..B.."), "AB")


def test_seedling_is_one_plant_without_flags() -> None:
    drawn = seedling()
    base = drawn.landmark_at("A", "root_base")
    (plant,), flags = detect(drawn, base)
    assert plant.base_xy is not None
    assert plant.base_xy.tolist() == drawn.position("A").tolist()
    assert (plant.landmark, len(plant.shoot_rc), plant.flags, flags) == (base, 300, [], [])


@pytest.mark.parametrize(("score", "count", "code"), [(0.6, 1, "no_shoot"), (0.4, 0, "base_left_out")])
def test_base_without_shoot_needs_a_higher_score(score: float, count: int, code: str) -> None:
    drawn = network(column("A", *["."] * 8, "B"), "AB")
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base", score))
    assert len(plants) == count
    assert [*codes(flags), *(c for plant in plants for c in codes(plant.flags))] == [code]


@pytest.mark.parametrize(("length_mm", "count"), [(2, 0), (3, 1)])
def test_base_without_shoot_needs_3_mm_of_root(length_mm: int, count: int) -> None:
    drawn = network(column("A", *["."] * (length_mm - 1), "B"), "AB")
    assert len(detect(drawn, drawn.landmark_at("A", "root_base"))[0]) == count


def test_base_in_the_middle_of_another_root_is_no_plant() -> None:
    drawn = network(column(".A.", *["..."] * 5, ".X.", *["..."] * 5, ".B."), "AX", "XB")
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base", 0.9), drawn.landmark_at("X", "root_base", 0.8))
    assert [plant.position_xy.tolist() for plant in plants] == [drawn.position("A").tolist()]
    assert codes(flags) == ["base_left_out"]


def test_two_bases_on_crossing_roots_are_two_plants() -> None:
    drawn = network(
        """
        B.....A
        .......
        .......
        ...X...
        .......
        .......
        C.....D
        """,
        *("AX", "BX", "XC", "XD"),
    )
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base", 0.9), drawn.landmark_at("B", "root_base", 0.8))
    assert [plant.position_xy.tolist() for plant in plants] == [drawn.position(letter).tolist() for letter in "BA"]
    assert flags == []


@pytest.mark.parametrize(("bases", "scores"), [("A..C..", [0.8]), ("A....C", [0.5, 0.8])])
def test_bases_within_2_mm_are_one(bases: str, scores: list[float]) -> None:
    # Half a millimetre a character: the bases are 1.5 and 2.5 mm apart, each on a root of 4 mm.
    drawn = network(column(bases, *["......"] * 7, bases.replace("A", "B").replace("C", "D")), "AB", "CD", mm=0.5)
    plants, _ = detect(drawn, drawn.landmark_at("A", "root_base", 0.5), drawn.landmark_at("C", "root_base", 0.8))
    assert [plant.landmark.score for plant in plants if plant.landmark is not None] == scores


@pytest.mark.parametrize(("right", "count"), [("A..C.....", 1), ("A....C...", 2)])
def test_bases_within_4_mm_under_one_shoot_are_one_plant(right: str, count: int) -> None:
    drawn = network(
        column("@@@@@@...", right, *["........."] * 7, right.replace("A", "B").replace("C", "D")), "AB", "CD"
    )
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base", 0.9), drawn.landmark_at("C", "root_base", 0.8))
    assert len(plants) == count
    assert sum(len(plant.shoot_rc) for plant in plants) == 600
    assert codes(flags) == ["second_base"] * (2 - count)


def test_touching_leaves_are_split_between_neighbours() -> None:
    drawn = network(column("@@@@@@@@@@@@", "..A.......C.", *["............"] * 7, "..B.......D."), "AB", "CD")
    plants, _ = detect(drawn, drawn.landmark_at("A", "root_base"), drawn.landmark_at("C", "root_base"))
    # Column 6.5 is as far from A as from C: 6.5 mm of leaf to the left of it, 5.5 mm to its right.
    assert [len(plant.shoot_rc) for plant in plants] == pytest.approx([650, 550], abs=10)


@pytest.mark.parametrize(("gap", "area"), [(".", 1400), ("...", 1000)])
def test_leaf_beyond_a_gap_of_half_a_mm_joins_the_shoot(gap: str, area: int) -> None:
    # Half a millimetre a character. The small leaf is 5 mm from the base: too far to be the base's by itself.
    leaves = "." + "@" * 10 + gap + "@@@@"
    width = len(leaves) + 1
    rows = [leaves, ".A", *["."] * 7, ".B"]
    drawn = network(column("." * width, *(row.ljust(width, ".") for row in rows)), "AB", mm=0.5)
    (plant,), _ = detect(drawn, drawn.landmark_at("A", "root_base"))
    assert len(plant.shoot_rc) == area


@pytest.mark.parametrize(("agar_mm", "shoot_px"), [(6, 400), (9, 0)])
def test_shoot_on_an_unseen_hypocotyl_belongs_to_the_base(agar_mm: int, shoot_px: int) -> None:
    drawn = network(column(".@@.", ".@@.", *["...."] * agar_mm, ".A..", *["...."] * 8, ".B.."), "AB")
    plants, _ = detect(drawn, drawn.landmark_at("A", "root_base"))
    (plant,) = [plant for plant in plants if plant.landmark is not None]
    assert len(plant.shoot_rc) == shoot_px


def test_shoot_on_a_root_without_landmarks_infers_its_base() -> None:
    drawn = seedling()
    (plant,), flags = detect(drawn)
    assert plant.base_xy is not None
    assert plant.base_xy.tolist() == pytest.approx(drawn.position("A").tolist(), abs=1)
    assert (codes(plant.flags), flags) == (["base_inferred"], [])


def test_unsure_shoot_without_a_base_is_no_plant() -> None:
    drawn = network(column(".....", ".%%%.", "..A..", *["....."] * 8, "..B.."), "AB")
    assert codes(detect(drawn)[1]) == ["stray_shoot"]
    assert len(detect(drawn, drawn.landmark_at("A", "root_base"))[0]) == 1


@pytest.mark.parametrize(("second", "count"), [("@.", 1), ("@@", 2)])
def test_shoot_much_smaller_than_the_others_is_no_plant(second: str, count: int) -> None:
    # The first shoot has 3 square millimetres: 1 is less than 40 % of it, 2 are more.
    drawn = network(
        column("............", f".@@@......{second}", "..A.......C.", *["............"] * 8, "..B.......D."), "AB", "CD"
    )
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base"))
    assert len(plants) == count
    assert codes(flags) == ["stray_shoot"] * (2 - count)


def test_shoot_on_the_middle_of_another_root_is_no_plant() -> None:
    drawn = network(
        column("......", ".@@@..", "..A...", *["......"] * 6, "...@@.", "...@@.", *["......"] * 6, "..B..."), "AB"
    )
    plants, flags = detect(drawn, drawn.landmark_at("A", "root_base"))
    assert len(plants) == 1
    assert codes(flags) == ["stray_shoot"]


@pytest.mark.parametrize(("row", "code"), [(".@@@.", "no_root"), ("@@@..", "stray_shoot")])
def test_shoot_without_root_is_a_plant_unless_cut_off(row: str, code: str) -> None:
    # The second shoot touches the left border of the picture.
    drawn = network(column(".....", row, "....."))
    plants, flags = detect(drawn)
    assert [*codes(flags), *(c for plant in plants for c in codes(plant.flags))] == [code]
    assert [plant.base_xy for plant in plants] == [None] * len(plants)


@pytest.mark.parametrize(("root_mm", "code"), [(9, "base_hidden"), (7, "no_root")])
def test_hidden_base_needs_a_root_of_8_mm(root_mm: int, code: str) -> None:
    # The root comes out 5 mm below the leaves.
    drawn = network(column(".....", ".@@@.", *["....."] * 5, "..A..", *["....."] * (root_mm - 1), "..B.."), "AB")
    (plant,), _ = detect(drawn)
    assert codes(plant.flags) == [code]
    if code == "base_hidden":
        assert plant.position_xy.tolist() == drawn.position("A").tolist()


def test_hidden_base_is_no_marked_tip() -> None:
    # Two ends come out below the leaves. A is straight below, but a landmark says that it is a lateral's tip.
    drawn = network(
        """
        .......
        ..@@@..
        .......
        .......
        .......
        ...A...
        .......
        .....C.
        .......
        ...X...
        .......
        .......
        .......
        .......
        ...B...
        """,
        *("AX", "CX", "XB"),
    )
    for tips, base in (("", "A"), ("A", "C")):
        (plant,), _ = detect(drawn, tips=tips)
        assert plant.position_xy.tolist() == drawn.position(base).tolist()


def test_hidden_base_is_not_the_base_of_a_neighbour() -> None:
    # The root from A to B is that of the plant to the left. The leaves to the right have no root.
    rows = ["..........", ".@@@..@@@.", *[".........."] * 3, "..A.......", *[".........."] * 9, "..B......."]
    drawn = network(column(*rows), "AB")
    base = drawn.landmark_at("A", "root_base")
    plants, flags = detect(drawn, base)
    assert [plant.landmark for plant in plants] == [base]
    assert codes(flags) == ["stray_shoot"]


def test_seed_without_shoot_is_an_ungerminated_plant() -> None:
    drawn = network(column("...", ".o.", "..."))
    (plant,), flags = detect(drawn)
    assert (plant.base_xy, len(plant.seed_rc), flags) == (None, 100, [])
    assert codes(plant.flags) == ["ungerminated"]
    position_xy: Points = plant.position_xy
    assert position_xy.tolist() == [14.5, 14.5]


@pytest.mark.parametrize(
    "drawing",
    [
        "...\noo.\n...",  # 2 square millimetres: no seed of Arabidopsis
        ".......\n.o..A..\n.......\n.......\n....B..",  # 2.5 mm beside a root
    ],
)
def test_seed_too_large_or_beside_a_root_is_no_plant(drawing: str) -> None:
    drawn = network(drawing, *(["AB"] if "A" in drawing else []))
    assert detect(drawn)[0] == []


@pytest.mark.parametrize(("row", "seed_px"), [(".@@@..o.....", [100]), (".@@@....o...", [0, 100])])
def test_seed_coat_within_3_mm_of_a_shoot_is_its_plants(row: str, seed_px: list[int]) -> None:
    drawn = network(column("............", row, "..A.........", *["............"] * 8, "..B........."), "AB")
    plants, _ = detect(drawn, drawn.landmark_at("A", "root_base"))
    assert [len(plant.seed_rc) for plant in plants] == seed_px


def test_plants_stand_from_left_to_right() -> None:
    drawn = network(column(".........", "o.......", "......@@@", ".......A.", *["........."] * 6, ".......B."), "AB")
    plants, _ = detect(drawn, drawn.landmark_at("A", "root_base"))
    assert [plant.base_xy is None for plant in plants] == [True, False]


@pytest.mark.parametrize(("rows", "place"), [(("@@", ".."), [9.5, 4.5]), (("..", ".@"), [14.5, 14.5])])
def test_place_without_a_base_is_the_middle_of_the_shoot(rows: tuple[str, str], place: list[float]) -> None:
    drawn = network(column(*rows))
    candidate = PlantCandidate(None, shoot_rc=np.argwhere(drawn.maps.shoot_HW > 0))
    assert candidate.position_xy.tolist() == place
    assert PlantCandidate(np.array([3.0, 4.0]), shoot_rc=candidate.shoot_rc).position_xy.tolist() == [3, 4]
