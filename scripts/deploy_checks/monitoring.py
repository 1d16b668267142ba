"""What watches a cluster: deploy/prometheus, deploy/grafana, deploy/otel and docs/troubleshooting.md, each held against
what nodes export and which settings they have.
"""

import re

import collector
import exported
import grafana
import prometheus
from report import ROOT, Problem, Report

# What no setting is: a name that a quoted line calls unknown, and what Kubernetes gives every pod for a Service.
NONE = re.compile(r"STARLING_\w+: unknown variable|STARLING_\w+_SERVICE_\w+")

PLACES = ("deploy/prometheus", "deploy/grafana", "deploy/otel", "docs/troubleshooting.md")


def check(report: Report) -> None:
    catalogue = prometheus.check(report, exported.check(report))
    grafana.check(report, catalogue)
    collector.check(report)
    with report.check("what watches a cluster names settings that exist"):
        check_settings()


def check_settings() -> None:
    known = set(re.findall(r"`(STARLING_\w+)`", (ROOT / "docs/configuration.md").read_text()))
    files = [file for place in PLACES for file in [ROOT / place, *(ROOT / place).rglob("*")] if file.is_file()]
    named = {(name, file) for file in files for name in re.findall(r"\bSTARLING_\w+", NONE.sub("", file.read_text()))}
    unknown = [f"{file.relative_to(ROOT)} names {name}" for name, file in sorted(named) if name not in known]
    if unknown or not named:
        raise Problem("\n".join(unknown) or "they name none")
