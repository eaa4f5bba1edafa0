"""Quality checks on a reconstruction that use independent evidence."""
