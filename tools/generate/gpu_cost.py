"""Cost table of docs/gpu.md, from services/thale/capacity/prices.toml and benchmark.json.

python -m tools.generate.gpu_cost [docs/gpu.md]
python -m tools.generate.gpu_cost --gpu-plates-per-s 1.2    also print the cost at a throughput of your own measurement
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from thale.capacity.benchmark import Benchmark, read_benchmark
from thale.capacity.gpu_cost import GpuAssumptions, GpuComparison, break_even_network_scale, compare
from thale.capacity.nodes import Prices, read_prices

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
CPU_SIZE = "Standard_D8ds_v5"
GPU_SIZES = ("Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4")
CASES = (GpuAssumptions(), GpuAssumptions(gpu_nodes=1), GpuAssumptions(gpu_nodes=1, workers_per_model=3))
_BLOCK = re.compile(r"(?<=<!-- cost: begin -->\n).*?(?=<!-- cost: end -->)", re.DOTALL)


def render_table(benchmark: Benchmark, prices: Prices) -> str:
    """Return the table of the comparison in Markdown."""
    return "\n".join(_table_lines(benchmark, prices)) + "\n"


def _table_lines(benchmark: Benchmark, prices: Prices) -> Iterator[str]:
    cpu = compare(benchmark, prices, CPU_SIZE, GPU_SIZES[0])
    yield (
        f"CPU node `{CPU_SIZE}`, {cpu.cpu_node.price_per_hour:.3f} {prices.currency} per hour: "
        f"{cpu.cpu_plates_per_s:.2f} plates/s with both models, **{cpu.cpu_cost_per_1000:.3f} {prices.currency} per "
        f"1,000 plates**. Prices of {prices.date}, benchmark of {benchmark.measured_at:%Y-%m-%d}, 30 % headroom."
    )
    yield ""
    yield "| GPU nodes | Workers per model | Per hour | Pays off above | Limit by the CPU | Pays off | Network size |"
    yield "|---|---|---|---|---|---|---|"
    for size in GPU_SIZES:
        for assumptions in CASES:
            found = compare(benchmark, prices, CPU_SIZE, size, assumptions)
            scale = break_even_network_scale(benchmark, prices, CPU_SIZE, size, assumptions)
            yield _row(size, found, scale)


def _row(size: str, found: GpuComparison, scale: float) -> str:
    nodes = found.assumptions.gpu_nodes
    cells = (
        f"{nodes} x `{size}`" + (", shared" if nodes == 1 else ""),
        str(found.assumptions.workers_per_model),
        f"{found.gpu_cost_per_hour:.3f}",
        f"{found.break_even_plates_per_s:.2f} plates/s",
        f"{found.max_plates_per_s:.2f} plates/s",
        "possible" if found.can_pay_off else "no",
        f"{scale:.1f} x",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table to the page, and print the cost at an assumed throughput."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    parser.add_argument("--gpu-plates-per-s", type=float, help="measured throughput of the GPU nodes together")
    options = parser.parse_args()
    benchmark, prices = read_benchmark(), read_prices()
    table = render_table(benchmark, prices)
    options.page.write_text(_BLOCK.sub(lambda _: table, options.page.read_text()))
    if options.gpu_plates_per_s is not None:
        for size in GPU_SIZES:
            found = compare(benchmark, prices, CPU_SIZE, size)
            cost = found.gpu_cost_per_1000(options.gpu_plates_per_s)
            print(f"{size}: {cost:.3f} {prices.currency} per 1,000 plates")  # noqa: T201


if __name__ == "__main__":
    main()
