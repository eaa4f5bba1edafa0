"""Images of dashboards without Grafana: `queries` queries Prometheus, `layout` draws the grid, `plots` the panels."""
