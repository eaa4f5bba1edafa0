"""Example of /v1/rollouts, for the OpenAPI document."""

from typing import Any

_CHANGE = {
    "at": "2026-11-21T12:00:00+00:00",
    "who": "anna",
    "what": "canary",
    "why": "better on dark plates",
    "version": "1.1.0",
    "stable": "1.0.0",
    "weight_percent": 5.0,
}
_REASON = "all checks passed: 812 requests, 0 failures"
ROLLOUTS_EXAMPLE: dict[str, Any] = {
    "models": [
        {
            "model": "plate-seg",
            "stable": "1.0.0",
            "canary": "1.1.0",
            "weight_percent": 5.0,
            "shadow": None,
            "steps": [5.0, 25.0, 50.0, 100.0],
            "loaded_versions": ["1.0.0", "1.1.0"],
            "unused_versions": None,
            "last_event": _CHANGE,
            "step_started_at": "2026-11-21T12:00:00+00:00",
            "stable_counts": {"requests": 15428, "errors": 3, "fallbacks": 0},
            "canary_counts": {"requests": 812, "errors": 0, "fallbacks": 0},
            "verdict": {
                "model": "plate-seg",
                "canary": "1.1.0",
                "stable": "1.0.0",
                "weight_percent": 5.0,
                "decision": "promote",
                "reasons": [_REASON],
                "check_results": [
                    {
                        "check": "failures",
                        "summary": "0 of 812 requests failed, 3 of 15428 of stable",
                        "regression_evidence": 0.0,
                        "noninferiority_evidence": 1.2,
                    }
                ],
            },
        }
    ],
    "leader": "thale-release-watcher",
    "last_checkpoint_at": "2026-11-21T12:31:08+00:00",
    "unreachable_facades": {},
    "read_at": "2026-11-21T12:31:09+00:00",
    "release_source": "cluster",
    "controller_source": "checkpoint",
    "history": {"plate-seg": [_CHANGE]},
}
