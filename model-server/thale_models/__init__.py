"""Models for thale: synthesis, training, evaluation, archives and the TorchServe handlers."""

import sys

# Each `import openvino` would tell Google of it, with an identity that it keeps in ~/intel. Where the package that does
# so is missing, OpenVINO goes without.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python is told that a module is missing
