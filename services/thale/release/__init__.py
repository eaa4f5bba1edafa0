"""Rollouts: register a model version, send it a share of the requests, judge it, and promote it or roll it back.

`lifecycle` defines the transitions of a release. `judge` decides whether a canary advances. `targets` apply a release
to the local platform or KServe. `controller` runs all three without an operator. `registry` validates and stores
versions, and `simulation` runs rollouts with sampled traffic. Facades read the release state themselves. The controller
reads only their counters.
"""
