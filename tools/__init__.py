"""Developer tools. None of them is part of the wheel."""
