"""Tests of the capacity benchmark: image mix, durations, users, and the generated page."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from loadtests import benchmark_page
from loadtests.image_set import PlateImage
from loadtests.knee import BENCHMARK_FILE, FULL_PLAN, QUICK_PLAN, ROOT, BenchmarkPlan, write_results
from loadtests.load_generator import interleave_by_mix
from loadtests.personas import SCENARIOS, allocate_users
from tests.support.sample_benchmark import sample_benchmark
from thale.capacity.benchmark import read_benchmark

MIX = {"1mp": 0.2, "4mp": 0.5, "16mp": 0.3}


def plan_duration_s(plan: BenchmarkPlan) -> float:
    """Return the duration of load steps and overload, without the start and the single images."""
    return len(plan.client_counts) * plan.step_duration_s + plan.overload_duration_s + plan.recovery_timeout_s


def test_interleave_by_mix_keeps_the_proportions_in_short_runs() -> None:
    images = {size: [PlateImage(Path(f"{size}.jpg"), size, None)] for size in MIX}
    sizes = [image.size for image in itertools.islice(interleave_by_mix(images, MIX), 200)]
    for first in range(0, 180, 20):
        counts = Counter(sizes[first : first + 20])
        assert all(abs(counts[size] - 20 * share) <= 2 for size, share in MIX.items()), counts


def test_benchmark_plans_take_less_than_seven_minutes() -> None:
    assert plan_duration_s(QUICK_PLAN) < plan_duration_s(FULL_PLAN) < 7 * 60


@pytest.mark.slow
def test_write_page_has_date_machine_and_results(tmp_path: Path) -> None:
    benchmark_page.write_page(tmp_path, sample_benchmark())
    page = (tmp_path / "capacity.md").read_text()
    assert "2026-01-01" in page
    assert "test CPU" in page
    assert "The knee is at 2 clients: 0.56 responses/s" in page
    assert "80 of them with Retry-After" in page
    assert (tmp_path / benchmark_page.PLOT).stat().st_size > 10_000


@pytest.mark.slow
def test_write_results_writes_the_file_of_the_capacity_planner(tmp_path: Path) -> None:
    write_results(tmp_path, sample_benchmark())
    assert read_benchmark(tmp_path / BENCHMARK_FILE) == sample_benchmark()
    assert read_benchmark(ROOT / BENCHMARK_FILE) == read_benchmark()
    assert (tmp_path / "docs" / "capacity.md").exists()


def test_allocate_users_follows_weights_with_one_user_each() -> None:
    assert allocate_users(4, list(SCENARIOS)) == {"Researcher": 1, "BatchUser": 1, "BurstUser": 1, "HostileUser": 1}
    assert allocate_users(18, list(SCENARIOS)) == {"Researcher": 8, "BatchUser": 2, "BurstUser": 6, "HostileUser": 2}
