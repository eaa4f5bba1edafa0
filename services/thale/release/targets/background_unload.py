"""What is unloaded in the background: a change returns at once, and whoever leaves the actuator's context waits."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class BackgroundUnloader:
    """Base of the actuators. Work that is killed with the process is done by the next change."""

    _threads: list[threading.Thread] = field(default_factory=list, init=False, repr=False, kw_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait until what has gone from the releases is unloaded."""
        while self._threads:
            self._threads.pop().join()

    def _run_in_background(self, model: str, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, name=f"unload {model}", daemon=True)
        self._threads.append(thread)
        thread.start()
