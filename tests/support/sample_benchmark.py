"""Benchmark with round values, so that a reader can check the sums of a test."""

from datetime import UTC, datetime

from thale.capacity.benchmark import Benchmark, Component, LoadStep, Machine, Overload, SizeClassBenchmark

CPU_SECONDS: dict[Component, float] = {"segmentation": 2.0, "landmarks": 1.0, "facade": 0.5, "torchserve": 0.0}


def sample_benchmark(**changes: object) -> Benchmark:
    """Return a benchmark in which a plate costs 3.5 CPU seconds, and a small image a tenth of that."""
    small_image: dict[Component, float] = {part: seconds / 10 for part, seconds in CPU_SECONDS.items()}
    return Benchmark(
        measured_at=datetime(2026, 1, 1, tzinfo=UTC),
        machine=Machine(cpu_model="test CPU", cores=2, memory_gib=8, background_cpu_fraction=0.0),
        versions={"thale": "0"},
        mix={"1mp": 0.5, "4mp": 0.5},
        classes={
            "1mp": SizeClassBenchmark(plates=3, latency_p50_s=0.2, cpu_seconds=small_image),
            "4mp": SizeClassBenchmark(plates=3, latency_p50_s=2.0, cpu_seconds=CPU_SECONDS),
        },
        steps=(
            LoadStep(clients=1, responses=10, rps=0.4, mean_s=2.5, p50_s=2.5, p99_s=3),
            LoadStep(clients=2, responses=10, rps=0.56, mean_s=3.0, p50_s=3, p99_s=4),
            LoadStep(clients=4, responses=10, rps=0.57, mean_s=7.0, p50_s=7, p99_s=9),
        ),
        overload=Overload(
            offered_rps=2,
            seconds=60,
            sent=120,
            completed=30,
            rejected=80,
            rejected_with_retry_after=80,
            timed_out=0,
            failed=0,
            rejection_p99_s=0.1,
            accepted_p50_s=10,
            accepted_p99_s=20,
            accepted_max_s=21,
            recovery_s=2,
        ),
        peak_memory_mib=dict.fromkeys(CPU_SECONDS, 500.0),
    ).model_copy(update=changes)
