"""The dashboards, a file each; query.py has the words for PromQL, panels.py those for Grafana."""
