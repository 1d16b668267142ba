"""deploy/otel/collector.yaml: pipelines name components that are defined, each that is defined is used, and nodes are
pointed at the port where it listens.
"""

import re

import yaml

from report import ROOT, Problem, Report

HERE = ROOT / "deploy/otel"
KINDS = ("receivers", "processors", "exporters")


def check(report: Report) -> None:
    config = {}
    with report.check("deploy/otel/collector.yaml: pipelines and components fit together"):
        config = yaml.safe_load((HERE / "collector.yaml").read_text())
        check_components(config)
    with report.check("deploy/otel/README.md points nodes at the port where the collector listens"):
        listens = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":", 1)[1]
        pointed = re.findall(r"`STARLING_OTLP_ENDPOINT` \| `http://[\w-]+:(\d+)`", (HERE / "README.md").read_text())
        if pointed != [listens]:
            raise Problem(f"it listens on {listens}, and nodes are pointed at {pointed}")


def check_components(config: dict) -> None:
    service = config["service"]
    used = {"extensions": set(service.get("extensions", []))}
    problems = []
    for name, pipeline in service["pipelines"].items():
        if name.partition("/")[0] not in ("traces", "metrics", "logs"):
            problems.append(f"{name} is no kind of pipeline")
        for kind in KINDS:
            used.setdefault(kind, set()).update(pipeline.get(kind, []))
        problems += [f"the pipeline {name} has no {kind}" for kind in ("receivers", "exporters") if not pipeline.get(kind)]
        order = pipeline.get("processors", [])
        if order and (order[0] != "memory_limiter" or order[-1] != "batch"):
            problems.append(f"the pipeline {name} does not begin with memory_limiter and end with batch")
    for kind in (*KINDS, "extensions"):
        defined = set(config.get(kind, {}))
        problems += [f"{kind}: {name} is used and not defined" for name in sorted(used[kind] - defined)]
        problems += [f"{kind}: {name} is defined and not used" for name in sorted(defined - used[kind])]
    problems += [f"{key} is no part of a configuration" for key in config.keys() - {*KINDS, "extensions", "service"}]
    if problems:
        raise Problem("\n".join(problems))
