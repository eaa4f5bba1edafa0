"""Models for thale: synthesis, training, evaluation, archives and the TorchServe handlers."""

import sys

# `import openvino` sends usage statistics to Google, with an identifier stored in ~/intel. OpenVINO skips this if the
# telemetry package is missing. An entry of None makes Python treat a module as missing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
