"""Settings of a facade without models, for tests that need no model server."""

from pathlib import Path

from thale.facade.settings import FacadeSettings
from thale.schemas import ReleaseState

_NOTHING_LISTENS = "http://127.0.0.1:9"


def settings_of(folder: Path, **fields: object) -> FacadeSettings:
    """Return settings of a facade without models, so that no model server is needed."""
    state_path = folder / "release-state.json"
    state_path.write_text(ReleaseState(models={}).model_dump_json())
    return FacadeSettings(
        release_state_path=state_path,
        metrics_port=0,
        model_url=_NOTHING_LISTENS,
        management_url=_NOTHING_LISTENS,
        postprocess_workers=1,
        **fields,  # type: ignore[arg-type]
    )
