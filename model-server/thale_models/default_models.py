"""Default models as a model store and a release state, for containers that share a volume.

    python -m thale_models.default_models FOLDER

The command writes `model-store/` for the model server and `release-state.json` for the facade. Both match the weights
of the installed thale, as with `thale up`.
"""

import sys
from pathlib import Path

from thale.errors import LocalPlatformError
from thale.local.data_dir import DataDir
from thale.local.runtime import find_runtime
from thale.local.serving_store import prepare_store


def main(folder: Path) -> int:
    """Write the folder. Returns the exit status."""
    data_dir = DataDir.resolve(folder)
    try:
        with data_dir.lock():
            release_state = prepare_store(data_dir, find_runtime().weights)
    except LocalPlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, model in release_state.models.items():
        sys.stdout.write(f"{data_dir.model_store}: {name} {model.stable}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
