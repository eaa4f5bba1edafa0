"""Unloading of versions in background threads, so that a release change returns at once."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class BackgroundUnloader:
    """Base class of the targets. If a process is killed, the next change of the release does the remaining unloads."""

    _threads: list[threading.Thread] = field(default_factory=list, init=False, repr=False, kw_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait until all removed versions are unloaded."""
        while self._threads:
            self._threads.pop().join()

    def _run_in_background(self, model: str, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, name=f"unload {model}", daemon=True)
        self._threads.append(thread)
        thread.start()
