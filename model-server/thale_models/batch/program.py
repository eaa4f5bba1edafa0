"""Start of the programs of the batch engine: logs, and errors as exit statuses with a line for the user."""

import logging
import sys
from collections.abc import Callable

from pydantic import ValidationError
from rich.console import Console

from thale.errors import ParameterError, ThaleError, describe_settings_error

EXIT_INTERRUPTED = 130


def run_program(program: Callable[[Console], int], interrupted: str = "") -> int:
    """Run a program, and return its exit status: 2 for an invalid option or setting, 1 for another error.

    Args:
        program: Receives the console of the standard error stream, and returns the exit status.
        interrupted: Shown after Ctrl-C.
    """
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return program(stderr)
    except KeyboardInterrupt:
        if interrupted:
            stderr.print(interrupted)
        return EXIT_INTERRUPTED
    except ValidationError as error:
        stderr.print(describe_settings_error(error), end="", markup=False)
        return 2
    except ThaleError as error:
        stderr.print(f"thale: {error}", markup=False)
        return 2 if isinstance(error, ParameterError) else 1
