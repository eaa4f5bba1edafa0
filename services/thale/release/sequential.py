"""Always-valid tests of "is it bad more often?": evidence that may be looked at after every answer."""

from thale.contract import Record


class Evidence(Record):
    """What a test has seen so far, as one small record that can be kept over a restart."""
