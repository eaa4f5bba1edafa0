"""The machine that a process runs on: its files, Python interpreters and loopback addresses."""
