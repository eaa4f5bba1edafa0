"""Dashboards without a Grafana: `answers` asks Prometheus, `page` lays out the grid, `plots` draws the panels."""
