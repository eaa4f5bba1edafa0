"""The cost table of docs/gpu.md is current."""

from thale.capacity.benchmark import read_benchmark
from thale.capacity.nodes import read_prices
from tools.generate.gpu_cost import PAGE, render_table


def test_page_has_the_current_table() -> None:
    assert render_table(read_benchmark(), read_prices()) in PAGE.read_text(), "run make generate"
