"""All dashboards, and the files that they become."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import capacity, cost, models, overview, request_path, rollout, runbooks, slo
from observability.dashboards.links import AZURE, GRAFANA, Backend
from thale.slo import Slo, read_slo

_BUILDERS = (
    overview.build,
    request_path.build,
    models.build,
    rollout.build,
    capacity.build,
    cost.build,
    slo.build,
    runbooks.build,
)


def build_dashboards(objectives: Slo, backend: Backend) -> list[Dashboard]:
    """Return the dashboards in the order in which they are read."""
    return [build(objectives, backend) for build in _BUILDERS]


def render_files() -> dict[str, str]:
    """Return the files of `generated/`: those for Tempo and Loki, and under `azure/` those for Azure Monitor."""
    objectives, rendered = read_slo(), {}
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    for backend, folder in ((GRAFANA, ""), (AZURE, "azure/")):
        for dashboard in build_dashboards(objectives, backend):
            rendered[f"{folder}{str(dashboard.uid).removeprefix('thale-')}.json"] = encoder.encode(dashboard) + "\n"
    return rendered
