"""One request: its options, its statistics and the duration of its stages."""
