"""Links from a panel to its traces and logs: Grafana's Explore with a query and the panel's time range.

The backends are Tempo and Loki, or Azure Monitor (Application Insights and Log Analytics).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from grafana_foundation_sdk.builders.dashboard import DashboardLink

_AZURE = "grafana-azure-monitor-datasource"
_PANEL_VALUE = "${__value.raw}"


@dataclass(frozen=True)
class Backend:
    """The stores of traces and logs: types of their data sources, and queries in their languages."""

    name: str
    traces: str
    logs: str
    slow_requests: Mapping[str, object]
    all_requests: Mapping[str, object]
    warnings: Mapping[str, object]

    def traces_url(self) -> str:
        """Return the URL of the facade's traces."""
        return _explore_url("traces", self.traces, self.all_requests)

    def logs_url(self) -> str:
        """Return the URL of thale's warnings and errors."""
        return _explore_url("logs", self.logs, self.warnings)

    def slow_trace_links(self) -> list[DashboardLink]:
        """Return links for a panel in seconds: traces that are at least as slow as the value, and the logs."""
        url = _explore_url("traces", self.traces, self.slow_requests)
        return [DashboardLink("Traces with this latency").url(url).target_blank(True), *self.log_links()]

    def log_links(self) -> list[DashboardLink]:
        """Return the link of a panel to the logs of its time range."""
        return [DashboardLink("Logs of this time range").url(self.logs_url()).target_blank(True)]


def _tempo_query(condition: str) -> dict[str, object]:
    query = f'{{resource.service.name="thale-facade" && kind=server{condition}}}'
    return {"queryType": "traceql", "query": query, "limit": 20}


def _kusto_query(query: str) -> dict[str, object]:
    return {
        "queryType": "Azure Log Analytics",
        "azureLogAnalytics": {"query": query, "resultFormat": "table", "dashboardTime": True},
    }


GRAFANA = Backend(
    name="grafana",
    traces="tempo",
    logs="loki",
    slow_requests=_tempo_query(f" && duration>{_PANEL_VALUE}s"),
    all_requests=_tempo_query(""),
    warnings={"expr": '{namespace="thale"} | json | level=~"warning|error|critical"'},
)

AZURE = Backend(
    name="azure",
    traces=_AZURE,
    logs=_AZURE,
    slow_requests=_kusto_query(
        f'AppRequests | where AppRoleName == "thale-facade" and DurationMs > 1000.0 * {_PANEL_VALUE}'
    ),
    all_requests=_kusto_query('AppRequests | where AppRoleName == "thale-facade"'),
    warnings=_kusto_query(
        'ContainerLogV2 | where PodNamespace == "thale" | extend line = parse_json(tostring(LogMessage)) '
        '| where line.level in ("warning", "error", "critical")'
    ),
)


def _explore_url(variable: str, kind: str, source_query: Mapping[str, object]) -> str:
    source = f"${{{variable}}}"
    query = {"refId": "A", "datasource": {"type": kind, "uid": source}, **source_query}
    pane = {"datasource": source, "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")), safe="${}_")
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}"
