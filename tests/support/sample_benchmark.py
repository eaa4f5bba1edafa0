"""A measurement with round figures, for sums that can be done in the head."""

from datetime import UTC, datetime

from thale.capacity.benchmark import Machine, Measured, OfClass, Overload, Part, Step

WORK: dict[Part, float] = {"segmentation": 2.0, "landmarks": 1.0, "facade": 0.5, "torchserve": 0.0}


def measured(**changes: object) -> Measured:
    """A plate costs 3.5 processor seconds; a small picture a tenth."""
    small: dict[Part, float] = {part: seconds / 10 for part, seconds in WORK.items()}
    return Measured(
        measured_at=datetime(2026, 1, 1, tzinfo=UTC),
        machine=Machine(processor="slide rule", cores=2, memory_gib=8, others_share=0.0),
        versions={"thale": "0"},
        mix={"1mp": 0.5, "4mp": 0.5},
        classes={
            "1mp": OfClass(plates=3, seconds_p50=0.2, processor_s=small),
            "4mp": OfClass(plates=3, seconds_p50=2.0, processor_s=WORK),
        },
        steps=(
            Step(clients=1, answers=10, rps=0.4, mean_s=2.5, p50_s=2.5, p99_s=3),
            Step(clients=2, answers=10, rps=0.56, mean_s=3.0, p50_s=3, p99_s=4),
            Step(clients=4, answers=10, rps=0.57, mean_s=7.0, p50_s=7, p99_s=9),
        ),
        overload=Overload(
            offered_rps=2,
            seconds=60,
            sent=120,
            answered=30,
            refused=80,
            refused_with_retry_after=80,
            late=0,
            failed=0,
            refusal_p99_s=0.1,
            accepted_p50_s=10,
            accepted_p99_s=20,
            accepted_max_s=21,
            recovery_s=2,
        ),
        memory_mib=dict.fromkeys(WORK, 500.0),
    ).model_copy(update=changes)
