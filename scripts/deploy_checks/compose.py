"""docker-compose.yml: the specification, then each service against the binary.

The parser of the package compose-spec knows the Compose specification and refuses keys and values outside it.
"""

import os
import re

import compose_spec
import yaml

from report import ROOT, Problem, Report
from roles import END, NODES, check_process, seconds


def check(report: Report) -> None:
    text = interpolate((ROOT / "docker-compose.yml").read_text())
    with report.check("docker-compose.yml follows the Compose specification"):
        try:
            # Merge keys are YAML's affair: the parser gets what they stand for.
            compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text)))
        except ValueError as error:
            raise Problem(str(error)) from None
    services = yaml.safe_load(text)["services"]
    ours = {name: service for name, service in services.items() if service["image"].startswith("starling")}
    with report.check("docker-compose.yml has every role, and two gateways"):
        roles = sorted(service["command"][0] for service in ours.values())
        if roles != ["api", "gateway", "gateway", "migrate"]:
            raise Problem(f"its roles are {roles}")
    for name, service in ours.items():
        with report.check(f"docker-compose.yml: {name} runs with its command and environment"):
            settings = check_process(service["command"], service["environment"])
            drain, grace = seconds(settings["STARLING_DRAIN_WINDOW"]), seconds(service["stop_grace_period"])
            if service["command"][0] in NODES and grace < drain + END:
                raise Problem(f"stop_grace_period is {grace} s: too short for a drain of {drain} s and its end")
    with report.check("docker-compose.yml: what is waited for exists, and ends or has a health check"):
        for name, service in services.items():
            for other, wait in service.get("depends_on", {}).items():
                target = services.get(other)
                if target is None:
                    raise Problem(f"{name} waits for {other}, which is no service")
                # Our own image brings a health check.
                healthy = "healthcheck" in target or other in ours
                if wait["condition"] == "service_healthy" and not healthy:
                    raise Problem(f"{name} waits until {other} is healthy, which has no health check")
    with report.check("docker-compose.yml: nginx knows every gateway and api"):
        for name, service in ours.items():
            variable = {"gateway": "GATEWAYS", "api": "APIS"}.get(service["command"][0])
            if variable and f"server {name}:8080 " not in services["nginx"]["environment"][variable] + " ":
                raise Problem(f"{name} is not in {variable}")


def interpolate(text: str) -> str:
    """`${NAME:-default}` and `$$`, as compose replaces them."""
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: os.environ.get(found[1]) or found[2], text)
    return text.replace("$$", "$")
