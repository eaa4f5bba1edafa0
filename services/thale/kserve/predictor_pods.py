"""Requests for the pods of a predictor and for the last warnings about them.

KServe labels the pods of a predictor with `app: isvc.SERVICE-PREDICTOR-predictor`. It reports nothing about a canary
whose model cannot be loaded, so the pods and their events are the only sources.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from thale.kserve.inference_service import predictor_name
from thale.kserve.pod_events import last_warnings
from thale.kserve.pod_state import Pod, PodState, waiting_state

_REQUEST_TIMEOUT_S = 10.0


def list_predictor_pods(api: ApiClient, namespace: str, service: str, version: str) -> Sequence[Pod]:
    """Return the pods of a version's predictor that are not being deleted.

    Raises:
        ApiException, HTTPError: If the API request fails.
    """
    selector = f"app={app_label(service, version)}"
    response: Any = CoreV1Api(api).list_namespaced_pod(
        namespace, label_selector=selector, _preload_content=False, _request_timeout=_REQUEST_TIMEOUT_S
    )
    items = json.loads(response.data).get("items") or ()
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def app_label(service: str, version: str) -> str:
    """Return the label `app` of a version's pods, which KServe sets."""
    return f"isvc.{service}-{predictor_name(version)}-predictor"


def list_last_warnings(api: ApiClient, namespace: str, kind: str) -> Mapping[str, tuple[str, str]]:
    """Return reason and message of the last event of each object of a kind, if it is a warning, by the object's name.

    Raises:
        ApiException, HTTPError: If the API request fails.
    """
    response: Any = CoreV1Api(api).list_namespaced_event(
        namespace,
        field_selector=f"involvedObject.kind={kind}",
        _preload_content=False,
        _request_timeout=_REQUEST_TIMEOUT_S,
    )
    return last_warnings(json.loads(response.data).get("items") or (), kind)


def refused_pods(service: str, version: str, warnings: Mapping[str, tuple[str, str]]) -> list[PodState]:
    """Return a state for each ReplicaSet of a predictor whose pods the API server refuses, from its last warning."""
    prefix = f"{app_label(service, version).removeprefix('isvc.')}-"
    return [
        waiting_state(name, reason, message)
        for name, (reason, message) in warnings.items()
        if reason == "FailedCreate" and name.startswith(prefix) and "-" not in name.removeprefix(prefix)
    ]
