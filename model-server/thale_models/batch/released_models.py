"""Archives of the stable versions of both models in a data directory.

A run uses the stable versions for all its images, also if a rollout starts meanwhile.
"""

from thale.errors import ModelUnavailableError
from thale.local.data_dir import DataDir
from thale.local.runtime import find_runtime
from thale.local.serving_store import locate_archives, prepare_store, verified_archives
from thale.schemas import ReleaseState
from thale_models.batch.model_host import ReleasedArchive
from thale_models.batch.settings import BatchSettings


def find_released_models(data_dir: DataDir, settings: BatchSettings) -> tuple[ReleasedArchive, ReleasedArchive]:
    """Return the archives of the segmentation model and of the landmark model.

    Without a running platform, the serving store is first updated, as at the start of a platform.

    Raises:
        LocalPlatformError: If the archives cannot be built or read, or a signature is missing or not valid.
        ModelUnavailableError: If a model is not released.
    """
    if data_dir.find_running_platform() is None:
        with data_dir.lock():
            prepare_store(data_dir, settings.weights or find_runtime().weights)
    locations = locate_archives(data_dir)
    verified = set(verified_archives(data_dir))
    state = ReleaseState.model_validate_json(data_dir.release_state.read_bytes())
    segmentation, landmarks = (
        _find(data_dir, state, name, {key: file for key, file in locations.items() if file in verified})
        for name in (settings.segmentation_model, settings.landmarks_model)
    )
    return segmentation, landmarks


def _find(data_dir: DataDir, state: ReleaseState, name: str, files: dict[tuple[str, str], str]) -> ReleasedArchive:
    release = state.models.get(name)
    if release is None or (name, release.stable) not in files:
        raise ModelUnavailableError(
            f"the model {name!r} is not released in {data_dir.path}: start the platform once with `thale up`, or "
            "choose another data directory with --home"
        )
    return ReleasedArchive(data_dir.model_store / files[name, release.stable], release.versions[release.stable].digest)
