"""What the measuring program reckons with, and the page that it writes."""

import itertools
from collections import Counter
from pathlib import Path

from loadtests import benchmark_page
from loadtests.image_set import PlateImage
from loadtests.knee import FULL_PLAN, QUICK_PLAN, BenchmarkPlan
from loadtests.load_generator import interleave_by_mix
from loadtests.personas import SCENARIOS, allocate_users
from tests.support.sample_benchmark import sample_benchmark

MIX = {"1mp": 0.2, "4mp": 0.5, "16mp": 0.3}


def plan_duration_s(plan: BenchmarkPlan) -> float:
    """Steps and overload; pictures alone and the start come to it."""
    return len(plan.client_counts) * plan.step_duration_s + plan.overload_duration_s + plan.recovery_timeout_s


def test_every_stretch_of_pictures_has_nearly_the_shares_of_the_mix() -> None:
    images = {size: [PlateImage(Path(f"{size}.jpg"), size, None)] for size in MIX}
    sizes = [picture.size for picture in itertools.islice(interleave_by_mix(images, MIX), 200)]
    for first in range(0, 180, 20):
        counted = Counter(sizes[first : first + 20])
        assert all(abs(counted[size] - 20 * share) <= 2 for size, share in MIX.items()), counted


def test_the_whole_programme_takes_less_than_seven_minutes() -> None:
    assert plan_duration_s(QUICK_PLAN) < plan_duration_s(FULL_PLAN) < 7 * 60


def test_the_page_says_when_where_and_how_it_was_measured(tmp_path: Path) -> None:
    benchmark_page.write_page(tmp_path, sample_benchmark())
    page = (tmp_path / "capacity.md").read_text()
    assert "2026-01-01" in page
    assert "slide rule" in page
    assert "The knee is at 2 clients: 0.56 answers/s" in page
    assert "80 of them with Retry-After" in page
    assert (tmp_path / benchmark_page.PICTURE).stat().st_size > 10_000


def test_every_scenario_has_a_user_and_the_rest_are_shared_by_weight() -> None:
    assert allocate_users(4, list(SCENARIOS)) == {"Researcher": 1, "BatchUser": 1, "BurstUser": 1, "HostileUser": 1}
    assert allocate_users(18, list(SCENARIOS)) == {"Researcher": 8, "BatchUser": 2, "BurstUser": 6, "HostileUser": 2}
