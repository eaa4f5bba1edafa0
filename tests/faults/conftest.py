"""Summary of the test run: the recovery time of each injected fault."""

import pytest

from tests.support.bounded_load import RECOVERIES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RECOVERIES:
        terminalreporter.section("recovery from injected faults")
        for recovery in RECOVERIES:
            terminalreporter.line(recovery)
