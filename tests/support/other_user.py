"""Execution of a function as another user of the machine."""

import os
from collections.abc import Callable

OTHER_USER_ID = 65534


def can_change_user() -> bool:
    """Return True if this process may run code as another user."""
    return os.geteuid() == 0


def succeeds_as_other_user(function: Callable[[], bool]) -> bool:
    """Run a function in a child process of an unprivileged user, and return its result.

    The child process is a fork, because that user may not be permitted to execute this Python.
    """
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            os.setgroups([])
            os.setgid(OTHER_USER_ID)
            os.setuid(OTHER_USER_ID)
            status = 0 if function() else 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1), f"the child process failed with status {status}"
    return status == 0
