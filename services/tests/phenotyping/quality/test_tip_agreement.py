import pytest

from thale.phenotyping.quality.tip_agreement import flag_doubtful_tips
from thale.schemas import Landmark, Plant, Root, Scale

SCALE = Scale(mm_per_px=0.05, source="given")
NO_SCALE = Scale(mm_per_px=float("nan"), source="none")


def plant(*ends: tuple[float, float]) -> Plant:
    """Return a plant with a primary root to the first end, and laterals to the others."""
    roots = tuple(
        Root(
            id=str(number),
            order=1 if number == 0 else 2,
            parent=None if number == 0 else "0",
            points=((100.0, 50.0), end),
            length_px=100.0,
            confidence=1.0,
        )
        for number, end in enumerate(ends)
    )
    return Plant(id=1, organs=(), landmarks=(), roots=roots)


def tip(x: float, y: float, kind: str = "primary_tip") -> Landmark:
    return Landmark(kind=kind, x=x, y=y, score=0.9)  # type: ignore[arg-type]


def codes(*arguments: object) -> list[str]:
    [checked] = flag_doubtful_tips(*arguments)  # type: ignore[arg-type]
    return [flag.code for flag in checked.flags]


@pytest.mark.parametrize(("distance_px", "flags"), [(0, []), (39, []), (41, ["tip_unconfirmed"])])
@pytest.mark.parametrize("scale", [SCALE, NO_SCALE])
def test_primary_root_requires_tip_within_2_mm(distance_px: float, flags: list[str], scale: Scale) -> None:
    assert codes([plant((110.0, 500.0))], [tip(110 + distance_px, 500)], scale) == flags


def test_limit_follows_the_scale() -> None:
    fine = Scale(mm_per_px=0.01, source="given")
    assert codes([plant((110.0, 500.0))], [tip(110, 690)], fine) == []


def test_lateral_tip_confirms_no_primary_root() -> None:
    root = plant((110.0, 500.0), (300.0, 300.0))
    landmarks = [tip(110, 500, "lateral_tip"), tip(300, 300)]
    [checked] = flag_doubtful_tips([root], landmarks, SCALE)
    [flag] = checked.flags
    assert (flag.at.x, flag.at.y) == (110, 500)  # type: ignore[union-attr]


def test_image_without_landmarks_confirms_no_root() -> None:
    assert codes([plant((110.0, 500.0))], [], SCALE) == ["tip_unconfirmed"]


def test_plant_without_roots_is_not_flagged() -> None:
    assert codes([plant()], [], SCALE) == []


def test_two_primary_roots_with_one_tip_are_flagged() -> None:
    first, second, third = (
        plant(end).model_copy(update={"id": number})
        for number, end in enumerate([(110.0, 500.0), (118.0, 500.0), (140.0, 500.0)])
    )
    landmarks = [tip(110, 500), tip(140, 500)]
    flagged = flag_doubtful_tips([first, second, third], landmarks, SCALE)
    assert [[flag.code for flag in each.flags] for each in flagged] == [["tip_shared"], ["tip_shared"], []]
