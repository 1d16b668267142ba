"""Starts what docker-compose.yml starts, each service with exactly its command, environment, user, rights, mounts and
health check, in the order that it asks for; then chats through its nginx, drains a gateway, and runs the load tester.
"""

import shlex
from pathlib import Path

import yaml

import images
import inside
import pods
from compose import interpolate
from report import ROOT, Problem, Report
from roles import seconds
from smoke import Chat

ADDRESSES = {"gateway-1": 1, "gateway-2": 2, "api": 3, "migrate": 4, "postgres": 10, "redis": 11, "nginx": 20, "load": 30}
PATIENCE = 90  # seconds within which a service is healthy on a busy machine
# The load tester's own words, with less of everything: what is tried here is the way, not how much goes through.
LESS = {"--rate": "10", "--seconds": "4", "--members": "20"}


def check(report: Report, network: pods.Network) -> None:
    services = yaml.safe_load(interpolate((ROOT / "docker-compose.yml").read_text()))["services"]
    wanted = [name for name in services if "profiles" not in services[name]]
    running: dict[str, pods.Pod] = {}
    with report.check("docker-compose.yml, run: its services come up in their order, with their own words and health checks"):
        network.know({name: f"{pods.PREFIX}{number}" for name, number in ADDRESSES.items()})
        running = up(network, services, wanted)
    if not running:
        return
    chat = None
    with report.check("docker-compose.yml, run: a chat through nginx, over both gateways, by REST, sockets and events"):
        chat = Chat(f"http://{running['nginx'].address}:{services['nginx']['environment']['LISTEN']}")
        chat.talk()
        chat.stream()
        chat.spread([running[name].address for name in ("gateway-1", "gateway-2")])
    if chat is None:
        return
    with report.check("docker-compose.yml, run: operators ask in a gateway's container, as the pages say"):
        inside.run(inside.COMPOSE, running["gateway-1"])
    what = "a gateway that is stopped ends by itself in its time, and the chat goes on"
    with report.check(f"docker-compose.yml, run: {what}"), pods.told(network):
        ends_well(running["gateway-1"], services["gateway-1"])
        chat.connect()
        chat.talk()
        chat.close()
    with report.check("docker-compose.yml, run: the load tester proves every delivery"):
        tester = start(network, "load", less(services["load"]))
        if tester.wait(PATIENCE) != 0:
            raise Problem(tester.log)
    with report.check("docker-compose.yml, run: nodes cannot write to their root, and end with 0 when they are stopped"):
        for name in ("gateway-2", "api"):
            code, said = running[name].ask(["touch", "/written"], pods.MOMENT)
            if code == 0 or "Read-only" not in said:
                raise Problem(f"{name} can write to its root: {code} {said}")
            ends_well(running[name], services[name])


def ends_well(pod: pods.Pod, service: dict) -> None:
    if code := pod.stop(seconds(service["stop_grace_period"])):
        raise Problem(f"{pod.name} ended with {code}:\n{pod.log}")


def up(network: pods.Network, services: dict, wanted: list[str]) -> dict[str, pods.Pod]:
    """Each one when what it waits for is there."""
    running: dict[str, pods.Pod] = {}
    while len(running) < len(wanted):
        ready = [n for n in wanted if n not in running and services[n].get("depends_on", {}).keys() <= running.keys()]
        if not ready:
            raise Problem(f"{', '.join(n for n in wanted if n not in running)} wait for each other")
        for name in ready:
            for other, wait in services[name].get("depends_on", {}).items():
                await_one(running[other], services[other], wait["condition"])
            running[name] = start(network, name, services[name])
    for name, pod in running.items():
        if name != "migrate":
            await_one(pod, services[name], "service_healthy")
    return running


def await_one(pod: pods.Pod, service: dict, condition: str) -> None:
    if condition == "service_completed_successfully":
        if code := pod.wait(PATIENCE):
            raise Problem(f"{pod.name} ended with {code}:\n{pod.log}")
        return
    test = service.get("healthcheck", {}).get("test")
    if test and test[0] != "CMD":
        raise Problem(f"{pod.name}'s health check is no list of words behind CMD")
    command = test[1:] if test else images.Starling([]).health

    def healthy() -> tuple[bool, str]:
        if (code := pod.ended()) is not None:
            raise Problem(f"{pod.name} ended with {code}:\n{pod.log}")
        code, said = pod.ask(command, 5)
        return code == 0, f"{shlex.join(command)} ended with {code}: {said}"

    pods.until(f"{pod.name} is healthy", PATIENCE, healthy, [pod])


def start(network: pods.Network, name: str, service: dict) -> pods.Pod:
    """A service's image, and what the service says beyond it."""
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    if name == "postgres":
        image = images.Postgres(environment, network.folder)
    elif name == "redis":
        image = images.Redis(service["command"])
    elif name == "nginx":
        image = images.Nginx(service["command"])
    else:
        image = images.Starling(service["command"])
    folders, binds = dict(image.folders), dict(image.binds)
    for place in service.get("tmpfs", []):
        place, _, options = place.partition(":")
        folders[place] = options
    for mount in service.get("volumes", []):
        source, target, *_ = mount.split(":")
        if source.startswith("."):
            binds[target] = Path(ROOT / source).resolve()
    pod = network.pod(
        name,
        ADDRESSES[name],
        command=image.command,
        environment=image.environment | environment,
        user=service.get("user") or image.user,
        binds=binds,
        folders=folders,
        read_only=service.get("read_only", False),
        workdir=image.workdir,
    )
    pod.start()
    return pod


def less(service: dict) -> dict:
    command = []
    for word in service["command"]:
        name, _, _ = word.partition("=")
        command.append(f"{name}={LESS[name]}" if name in LESS else word)
    return service | {"command": command}
