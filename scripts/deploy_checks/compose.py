"""docker-compose.yml: the specification, then each service against the binary, and the profiles against deploy/.

The parser of the package compose-spec knows the Compose specification and refuses keys and values outside it.
"""

import re

import compose_spec
import yaml

from ending import latest_end
from report import ROOT, Problem, Report, run, starling
from roles import NODES, check_process, seconds

# What starts without a word, and with each profile.
PROFILES = {
    (): {"postgres", "redis", "migrate", "gateway-1", "gateway-2", "api", "nginx"},
    ("load",): {"load"},
    ("observability",): {"prometheus", "grafana", "collector", "jaeger"},
}
# How nginx is told of the nodes of a role: why, deploy/nginx/README.md says.
NGINX_LINES = {
    "gateway": ("GATEWAYS", ["max_fails=0"]),
    "api": ("APIS", ["max_fails=1 fail_timeout=1s", "max_fails=0 backup"]),
}


def check(report: Report) -> None:
    text = interpolate((ROOT / "docker-compose.yml").read_text())
    with report.check("docker-compose.yml follows the Compose specification"):
        try:
            # Merge keys are YAML's affair: the parser gets what they stand for.
            compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text)))
        except ValueError as error:
            raise Problem(str(error)) from None
    services = yaml.safe_load(text)["services"]
    built = {name: service for name, service in services.items() if service["image"].startswith("starling")}
    ours = {name: service for name, service in built.items() if "profiles" not in service}
    with report.check("docker-compose.yml has every role, and two gateways"):
        roles = sorted(service["command"][0] for service in ours.values())
        if roles != ["api", "gateway", "gateway", "migrate"]:
            raise Problem(f"its roles are {roles}")
    for name, service in ours.items():
        with report.check(f"docker-compose.yml: {name} runs with its command and environment"):
            settings = check_process(service["command"], service["environment"])
            end, grace = latest_end(settings), seconds(service["stop_grace_period"])
            if service["command"][0] in NODES and grace < end:
                raise Problem(f"stop_grace_period is {grace} s, and the node may take {end} s to end")
    with report.check("docker-compose.yml: what is waited for exists, and ends or has a health check"):
        for name, service in services.items():
            for other, wait in service.get("depends_on", {}).items():
                target = services.get(other)
                if target is None:
                    raise Problem(f"{name} waits for {other}, which is no service")
                # Our own image brings a health check.
                healthy = "healthcheck" in target or other in ours
                if "profiles" in target and target["profiles"] != service.get("profiles"):
                    raise Problem(f"{name} waits for {other}, which only a profile starts")
                if wait["condition"] == "service_healthy" and not healthy:
                    raise Problem(f"{name} waits until {other} is healthy, which has no health check")
    with report.check("docker-compose.yml: nginx knows every gateway and api"):
        for name, service in ours.items():
            variable, lines = NGINX_LINES.get(service["command"][0], ("", []))
            for line in lines:
                if f"server {name}:8080 {line};" not in services["nginx"]["environment"][variable]:
                    raise Problem(f"{name} is not in {variable} with {line!r}")
    check_profiles(report, services, yaml.safe_load(text)["volumes"])


def check_profiles(report: Report, services: dict, volumes: dict) -> None:
    with report.check("docker-compose.yml: one command starts a chat, and profiles add to it"):
        profiles = {name: service.get("profiles") for name, service in services.items()}
        by_profile = {}
        for name, names in profiles.items():
            by_profile.setdefault(tuple(names or ()), set()).add(name)
        if by_profile != PROFILES:
            raise Problem(f"its profiles are {by_profile}")
    with report.check("docker-compose.yml: what is mounted is there and cannot be changed, and ports are this machine's"):
        for name, service in services.items():
            for mount in service.get("volumes", []):
                source, _, rest = mount.partition(":")
                if not source.startswith("."):
                    if source not in volumes:
                        raise Problem(f"{name} mounts the volume {source}, which is not declared")
                elif not (ROOT / source).exists() or not rest.endswith(":ro"):
                    raise Problem(f"{name} mounts {mount}")
            if strangers := [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]:
                raise Problem(f"{name} listens to the world: {strangers}")
    with report.check("docker-compose.yml: the load tester has its own words, a secret and a target"):
        load, nginx = services["load"], services["nginx"]
        run(starling(), *load["command"], "--help")
        secret = services["gateway-1"]["environment"]["STARLING_JWT_SECRET"]
        if load["environment"] != {"STARLING_JWT_SECRET": secret}:
            raise Problem("it has not the nodes' secret alone")
        if f"--api=http://nginx:{nginx['environment']['LISTEN']}" not in load["command"]:
            raise Problem("it does not go to nginx")
    with report.check("docker-compose.yml: nodes, collector and Grafana find each other"):
        collector = yaml.safe_load((ROOT / "deploy/otel/collector.yaml").read_text())
        port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":", 1)[1]
        text = interpolate((ROOT / "docker-compose.yml").read_text(), {"COMPOSE_PROFILES": "observability"})
        told = yaml.safe_load(text)["services"]["gateway-1"]["environment"]["STARLING_OTLP_ENDPOINT"]
        if told != f"http://collector:{port}" or services["gateway-1"]["environment"]["STARLING_OTLP_ENDPOINT"]:
            raise Problem(f"nodes send traces to {told}, and without the profile to nobody")
        sources = (ROOT / "deploy/grafana/provisioning/datasources").glob("*.yml")
        urls = [source["url"] for file in sources for source in yaml.safe_load(file.read_text())["datasources"]]
        if strangers := [url for url in urls if url.split("/")[2].split(":")[0] not in services]:
            raise Problem(f"Grafana asks {strangers}")


def interpolate(text: str, environment: dict[str, str] | None = None) -> str:
    """`${NAME:-default}`, `${NAME:+instead}` and `$$`, as compose replaces them; without an environment of ours."""
    environment = environment or {}
    text = re.sub(r"\$\{(\w+):\+([^}]*)\}", lambda found: found[2] if environment.get(found[1]) else "", text)
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1]) or found[2], text)
    return text.replace("$$", "$")
