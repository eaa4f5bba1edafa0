"""KServe's ConfigMap `inferenceservice-config`: annotations that KServe must not copy into the pods of predictors.

KServe copies all annotations of an InferenceService into pod templates, so each step of a rollout would restart each
predictor. The chart has no value for the exceptions, and each `helm upgrade` restores the chart's ConfigMap. KServe
appends the list to its own defaults, and reads it at each reconciliation.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.addons.commands import FIELD_MANAGER, ClusterTools
from deploy.addons.table import Addon, AddonError

CONFIG_MAP = "inferenceservice-config"
CONTROLLER = "deployment/kserve-controller-manager"
_SECTION = "inferenceService"
_LIST = "serviceAnnotationDisallowedList"


def missing_annotations(config_map: Mapping[str, Any] | None, annotations: Sequence[str]) -> list[str]:
    """Return the annotations that KServe would copy into pods; all of them without a ConfigMap.

    Raises:
        AddonError: If the ConfigMap is not valid JSON.
    """
    listed = _read_section(config_map).get(_LIST) or ()
    return [each for each in annotations if each not in listed]


def patch_command(addon: Addon, tools: ClusterTools, config_map: Mapping[str, Any] | None) -> Sequence[str] | None:
    """Return the command that adds the add-on's annotations and keeps all other entries; None if none is missing.

    Raises:
        AddonError: If the ConfigMap is not valid JSON.
    """
    missing = missing_annotations(config_map, addon.disallowed_annotations)
    if not missing:
        return None
    section = _read_section(config_map)
    section[_LIST] = [*(section.get(_LIST) or ()), *missing]
    patch = json.dumps({"data": {_SECTION: json.dumps(section, indent=2)}})
    target = ("configmap", CONFIG_MAP, "--namespace", addon.namespace)
    return tools.kubectl("patch", *target, "--field-manager", FIELD_MANAGER, "--type", "merge", "--patch", patch)


def restrict_annotations(addon: Addon, tools: ClusterTools) -> bool:
    """Add the add-on's annotations to the list. Returns whether the ConfigMap was changed.

    Raises:
        AddonError: If the ConfigMap does not exist or is not valid JSON, or kubectl fails.
    """
    config_map = tools.get("configmap", CONFIG_MAP, "--namespace", addon.namespace)
    if config_map is None:
        raise AddonError(f"the chart of {addon.name} created no ConfigMap {CONFIG_MAP} in {addon.namespace}")
    command = patch_command(addon, tools, config_map)
    if command is not None:
        tools.execute(command)
    return command is not None


def _read_section(config_map: Mapping[str, Any] | None) -> dict[str, Any]:
    text = ((config_map or {}).get("data") or {}).get(_SECTION) or "{}"
    try:
        section: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise AddonError(
            f"{_SECTION} in the ConfigMap {CONFIG_MAP} is not valid JSON ({error}): correct it with kubectl edit, or "
            "install the add-on again with --only kserve"
        ) from error
    return section
