"""Registry of all dashboards, and their rendering to files."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import capacity, cost, models, overview, request_path, rollout, runbooks, slo
from observability.dashboards.links import AZURE, GRAFANA, Backend
from thale.release.judge.policy import JudgePolicy, read_policy
from thale.slo import Slo, read_slo


def build_dashboards(objectives: Slo, policy: JudgePolicy, backend: Backend) -> list[Dashboard]:
    """Return all dashboards, in the order of the documentation."""
    return [
        overview.build(objectives, backend),
        request_path.build(objectives, backend),
        models.build(objectives, policy, backend),
        rollout.build(objectives, policy, backend),
        capacity.build(objectives, backend),
        cost.build(objectives, backend),
        slo.build(objectives, backend),
        runbooks.build(objectives, backend),
    ]


def render_files() -> dict[str, str]:
    """Return the files of `generated/` by name: variants for Tempo and Loki, and in `azure/` for Azure Monitor."""
    objectives, policy, rendered = read_slo(), read_policy(), {}
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    for backend, folder in ((GRAFANA, ""), (AZURE, "azure/")):
        for dashboard in build_dashboards(objectives, policy, backend):
            rendered[f"{folder}{str(dashboard.uid).removeprefix('thale-')}.json"] = encoder.encode(dashboard) + "\n"
    return rendered
