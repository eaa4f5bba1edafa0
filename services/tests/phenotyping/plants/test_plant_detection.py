import numpy as np
import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.plant_detection import PlantCandidate, detect_plants
from thale.phenotyping.plants.polyline import Points
from thale.schemas import Flag, Landmark


def detect(example: DrawnGraph, *landmarks: Landmark, tips: str = "") -> tuple[list[PlantCandidate], list[Flag]]:
    return detect_plants(example.maps, example.graph, landmarks, [example.nodes[letter] for letter in tips])


def codes(flags: list[Flag]) -> list[str]:
    return [flag.code for flag in flags]


def column(*rows: str) -> str:
    return "\n".join(rows)


def seedling(length_mm: int = 9) -> DrawnGraph:
    """Return a shoot of 3 square millimetres above a root from A to B."""
    return draw_graph(column(".....", ".@@@.", "..A..", *["....."] * (length_mm - 1), "..B.."), "AB")


def test_detect_plants_finds_seedling_without_flags() -> None:
    example = seedling()
    base = example.landmark_at("A", "root_base")
    (plant,), flags = detect(example, base)
    assert plant.base_xy is not None
    assert plant.base_xy.tolist() == example.position("A").tolist()
    assert (plant.landmark, len(plant.shoot_rc), plant.flags, flags) == (base, 300, [], [])


@pytest.mark.parametrize(("score", "count", "code"), [(0.6, 1, "no_shoot"), (0.4, 0, "base_left_out")])
def test_base_without_shoot_requires_higher_score(score: float, count: int, code: str) -> None:
    example = draw_graph(column("A", *["."] * 8, "B"), "AB")
    plants, flags = detect(example, example.landmark_at("A", "root_base", score))
    assert len(plants) == count
    assert [*codes(flags), *(c for plant in plants for c in codes(plant.flags))] == [code]


@pytest.mark.parametrize(("length_mm", "count"), [(2, 0), (3, 1)])
def test_base_without_shoot_requires_3_mm_of_root(length_mm: int, count: int) -> None:
    example = draw_graph(column("A", *["."] * (length_mm - 1), "B"), "AB")
    assert len(detect(example, example.landmark_at("A", "root_base"))[0]) == count


def test_base_in_middle_of_another_root_is_rejected() -> None:
    example = draw_graph(column(".A.", *["..."] * 5, ".X.", *["..."] * 5, ".B."), "AX", "XB")
    plants, flags = detect(
        example, example.landmark_at("A", "root_base", 0.9), example.landmark_at("X", "root_base", 0.8)
    )
    assert [plant.position_xy.tolist() for plant in plants] == [example.position("A").tolist()]
    assert codes(flags) == ["base_left_out"]


def test_bases_on_crossing_roots_are_two_plants() -> None:
    example = draw_graph(
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
    plants, flags = detect(
        example, example.landmark_at("A", "root_base", 0.9), example.landmark_at("B", "root_base", 0.8)
    )
    assert [plant.position_xy.tolist() for plant in plants] == [example.position(letter).tolist() for letter in "BA"]
    assert flags == []


@pytest.mark.parametrize(("bases", "scores"), [("A..C..", [0.8]), ("A....C", [0.5, 0.8])])
def test_bases_within_2_mm_are_one_plant(bases: str, scores: list[float]) -> None:
    # A character is half a millimetre: the bases are 1.5 and 2.5 mm apart, each on a root of 4 mm.
    example = draw_graph(column(bases, *["......"] * 7, bases.replace("A", "B").replace("C", "D")), "AB", "CD", mm=0.5)
    plants, _ = detect(example, example.landmark_at("A", "root_base", 0.5), example.landmark_at("C", "root_base", 0.8))
    assert [plant.landmark.score for plant in plants if plant.landmark is not None] == scores


@pytest.mark.parametrize(("right", "count"), [("A..C.....", 1), ("A....C...", 2)])
def test_bases_within_4_mm_under_one_shoot_are_one_plant(right: str, count: int) -> None:
    example = draw_graph(
        column("@@@@@@...", right, *["........."] * 7, right.replace("A", "B").replace("C", "D")), "AB", "CD"
    )
    plants, flags = detect(
        example, example.landmark_at("A", "root_base", 0.9), example.landmark_at("C", "root_base", 0.8)
    )
    assert len(plants) == count
    assert sum(len(plant.shoot_rc) for plant in plants) == 600
    assert codes(flags) == ["second_base"] * (2 - count)


def test_touching_leaves_are_split_between_neighbours() -> None:
    example = draw_graph(column("@@@@@@@@@@@@", "..A.......C.", *["............"] * 7, "..B.......D."), "AB", "CD")
    plants, _ = detect(example, example.landmark_at("A", "root_base"), example.landmark_at("C", "root_base"))
    # Column 6.5 is equally far from A and C: 6.5 mm of leaf are to the left of it, 5.5 mm to the right.
    assert [len(plant.shoot_rc) for plant in plants] == pytest.approx([650, 550], abs=10)


@pytest.mark.parametrize(("gap", "area"), [(".", 1400), ("...", 1000)])
def test_leaf_beyond_gap_of_half_a_mm_joins_shoot(gap: str, area: int) -> None:
    # A character is half a millimetre. The small leaf is 5 mm from the base, too far for a direct assignment.
    leaves = "." + "@" * 10 + gap + "@@@@"
    width = len(leaves) + 1
    rows = [leaves, ".A", *["."] * 7, ".B"]
    example = draw_graph(column("." * width, *(row.ljust(width, ".") for row in rows)), "AB", mm=0.5)
    (plant,), _ = detect(example, example.landmark_at("A", "root_base"))
    assert len(plant.shoot_rc) == area


@pytest.mark.parametrize(("agar_mm", "shoot_px"), [(6, 400), (9, 0)])
def test_shoot_on_invisible_hypocotyl_belongs_to_base_below(agar_mm: int, shoot_px: int) -> None:
    example = draw_graph(column(".@@.", ".@@.", *["...."] * agar_mm, ".A..", *["...."] * 8, ".B.."), "AB")
    plants, _ = detect(example, example.landmark_at("A", "root_base"))
    (plant,) = [plant for plant in plants if plant.landmark is not None]
    assert len(plant.shoot_rc) == shoot_px


def test_shoot_on_root_without_landmarks_infers_base() -> None:
    example = seedling()
    (plant,), flags = detect(example)
    assert plant.base_xy is not None
    assert plant.base_xy.tolist() == pytest.approx(example.position("A").tolist(), abs=1)
    assert (codes(plant.flags), flags) == (["base_inferred"], [])


def test_uncertain_shoot_without_base_is_rejected() -> None:
    example = draw_graph(column(".....", ".%%%.", "..A..", *["....."] * 8, "..B.."), "AB")
    assert codes(detect(example)[1]) == ["stray_shoot"]
    assert len(detect(example, example.landmark_at("A", "root_base"))[0]) == 1


@pytest.mark.parametrize(("second", "count"), [("@.", 1), ("@@", 2)])
def test_shoot_much_smaller_than_others_is_rejected(second: str, count: int) -> None:
    # The first shoot has 3 square millimetres: 1 is less than 40 % of it, 2 is more.
    example = draw_graph(
        column("............", f".@@@......{second}", "..A.......C.", *["............"] * 8, "..B.......D."), "AB", "CD"
    )
    plants, flags = detect(example, example.landmark_at("A", "root_base"))
    assert len(plants) == count
    assert codes(flags) == ["stray_shoot"] * (2 - count)


def test_shoot_on_middle_of_another_root_is_rejected() -> None:
    example = draw_graph(
        column("......", ".@@@..", "..A...", *["......"] * 6, "...@@.", "...@@.", *["......"] * 6, "..B..."), "AB"
    )
    plants, flags = detect(example, example.landmark_at("A", "root_base"))
    assert len(plants) == 1
    assert codes(flags) == ["stray_shoot"]


@pytest.mark.parametrize(("row", "code"), [(".@@@.", "no_root"), ("@@@..", "stray_shoot")])
def test_shoot_without_root_is_plant_unless_at_border(row: str, code: str) -> None:
    # The second shoot touches the left border of the image.
    example = draw_graph(column(".....", row, "....."))
    plants, flags = detect(example)
    assert [*codes(flags), *(c for plant in plants for c in codes(plant.flags))] == [code]
    assert [plant.base_xy for plant in plants] == [None] * len(plants)


@pytest.mark.parametrize(("root_mm", "code"), [(9, "base_hidden"), (7, "no_root")])
def test_hidden_base_requires_root_of_8_mm(root_mm: int, code: str) -> None:
    # The root emerges 5 mm below the leaves.
    example = draw_graph(column(".....", ".@@@.", *["....."] * 5, "..A..", *["....."] * (root_mm - 1), "..B.."), "AB")
    (plant,), _ = detect(example)
    assert codes(plant.flags) == [code]
    if code == "base_hidden":
        assert plant.position_xy.tolist() == example.position("A").tolist()


def test_hidden_base_is_never_at_tip_landmark() -> None:
    # Two ends emerge below the leaves. A is directly below, but a landmark marks it as the tip of a lateral.
    example = draw_graph(
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
        (plant,), _ = detect(example, tips=tips)
        assert plant.position_xy.tolist() == example.position(base).tolist()


def test_hidden_base_is_never_at_base_of_neighbour() -> None:
    # The root from A to B belongs to the plant on the left. The leaves on the right have no root.
    rows = ["..........", ".@@@..@@@.", *[".........."] * 3, "..A.......", *[".........."] * 9, "..B......."]
    example = draw_graph(column(*rows), "AB")
    base = example.landmark_at("A", "root_base")
    plants, flags = detect(example, base)
    assert [plant.landmark for plant in plants] == [base]
    assert codes(flags) == ["stray_shoot"]


def test_seed_without_shoot_is_ungerminated_plant() -> None:
    example = draw_graph(column("...", ".o.", "..."))
    (plant,), flags = detect(example)
    assert (plant.base_xy, len(plant.seed_rc), flags) == (None, 100, [])
    assert codes(plant.flags) == ["ungerminated"]
    position_xy: Points = plant.position_xy
    assert position_xy.tolist() == [14.5, 14.5]


@pytest.mark.parametrize(
    "drawing",
    [
        "...\noo.\n...",  # 2 square millimetres: too large for a seed of Arabidopsis
        ".......\n.o..A..\n.......\n.......\n....B..",  # 2.5 mm from a root
    ],
)
def test_seed_too_large_or_near_root_is_rejected(drawing: str) -> None:
    example = draw_graph(drawing, *(["AB"] if "A" in drawing else []))
    assert detect(example)[0] == []


@pytest.mark.parametrize(("row", "seed_px"), [(".@@@..o.....", [100]), (".@@@....o...", [0, 100])])
def test_seed_coat_within_3_mm_of_shoot_belongs_to_plant(row: str, seed_px: list[int]) -> None:
    example = draw_graph(column("............", row, "..A.........", *["............"] * 8, "..B........."), "AB")
    plants, _ = detect(example, example.landmark_at("A", "root_base"))
    assert [len(plant.seed_rc) for plant in plants] == seed_px


def test_detect_plants_orders_left_to_right() -> None:
    example = draw_graph(
        column(".........", "o.......", "......@@@", ".......A.", *["........."] * 6, ".......B."), "AB"
    )
    plants, _ = detect(example, example.landmark_at("A", "root_base"))
    assert [plant.base_xy is None for plant in plants] == [True, False]


@pytest.mark.parametrize(("rows", "position_xy"), [(("@@", ".."), [9.5, 4.5]), (("..", ".@"), [14.5, 14.5])])
def test_candidate_position_is_shoot_centroid_without_base(rows: tuple[str, str], position_xy: list[float]) -> None:
    example = draw_graph(column(*rows))
    candidate = PlantCandidate(None, shoot_rc=np.argwhere(example.maps.shoot_HW > 0))
    assert candidate.position_xy.tolist() == position_xy
    assert PlantCandidate(np.array([3.0, 4.0]), shoot_rc=candidate.shoot_rc).position_xy.tolist() == [3, 4]


@pytest.mark.parametrize(("below_mm", "count"), [(11, 2), (14, 1)])
def test_seed_is_near_height_of_plants(below_mm: int, count: int) -> None:
    rows = ["............", ".@@@........", "..A.........", *["............"] * 20]
    rows[2 + below_mm] = "...........o"
    rows[8] = "..B........."
    example = draw_graph(column(*rows), "AB")
    plants, flags = detect(example, example.landmark_at("A", "root_base"))
    assert len(plants) == count
    assert codes(flags) == ["stray_seed"] * (2 - count)
