"""Rollouts: new model versions registered, tried on a share of the requests, judged, and promoted or taken back.

`plan` says what a release may become, `judge` whether it should, an actuator makes it so, and `watch` does all three
unattended. The facades follow the release record by themselves; the engine reads their counters and never calls them.
"""
