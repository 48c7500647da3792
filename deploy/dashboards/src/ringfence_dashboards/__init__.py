"""Grafana dashboards as code, and the page that lists all metrics."""
