"""Starts the pods of k8s/overlays/dev all at once, as Kubernetes does: each container with its arguments, the variables of
its ConfigMap and Secret, its user and its rights; restarts what fails, asks by its probes, and stops by its `preStop` and
in its grace period. In front of them HAProxy and then nginx, by the commands of deploy/haproxy/README.md and
deploy/nginx/README.md as they stand there, and then k8s/components/haproxy, which is in this overlay.
"""

import re
import time

import images
import inside
import kubernetes
import pods
import run_haproxy
from names import Names
from report import ROOT, Problem, Report
from smoke import Chat, get

OVERLAY = ROOT / "k8s/overlays/dev"
# Two gateways and an api node, as in the examples of deploy/.
NODES = {"gateway": (1, 2), "api": (3,), "migrate": (4,)}
SERVERS = {"postgres": 10, "redis": 11}
BALANCERS = {"haproxy": 20, "nginx": 21}
PATIENCE = 90  # seconds within which all is ready on a busy machine
# terminationGracePeriodSeconds, less `preStop`; kubernetes.py compares that with what a node may take.
GRACE = 75


def check(report: Report, network: pods.Network) -> None:
    running: dict[str, tuple[pods.Pod, dict]] = {}
    with report.check("k8s/overlays/dev, run: all pods at once; they find each other, and are ready by their own probes"):
        builder = kubernetes.find_builder()
        documents = kubernetes.built(builder, OVERLAY) if builder else kubernetes.raw(OVERLAY)
        network.know({name: f"{pods.PREFIX}{number}" for name, number in services(documents).items()})
        held = variables(documents)
        pairs = [pair for document in documents for pair in started(network, document, held)]
        ready(pairs)
        running = {pod.name: (pod, container) for pod, container in pairs}
    if not running:
        return
    gateways = [pod.address for name, (pod, _) in running.items() if name.startswith("gateway")]
    for name in BALANCERS:
        what = f"a chat through {name}, as deploy/{name}/README.md starts it, goes on when a gateway's pod is replaced"
        with report.check(f"k8s/overlays/dev, run: {what}"), pods.told(network):
            back(running)
            chat = behind(network, name)
            chat.talk()
            chat.stream()
            chat.spread(gateways)
            leave(*running["gateway-1"])
            chat.connect()
            chat.talk()
            back(running)
            chat.close()
    what = "its pod finds the nodes by DNS, and people chat through it while a gateway's pod goes and comes"
    if builder is None:
        report.skip("k8s/components/haproxy, run, because there is neither kubectl 1.27 nor kustomize")
    else:
        with report.check(f"k8s/components/haproxy, run: {what}"), pods.told(network):
            component(network, documents, running)
    with report.check("k8s/overlays/dev, run: operators ask in a gateway's container, as the pages say"):
        back(running)
        inside.run(inside.KUBERNETES, running["gateway-1"][0])
    with report.check("k8s/overlays/dev, run: what lives is alive by its own probe"):
        back(running)
        for pod, container in running.values():
            # So many failures in a row end a container, and no fewer.
            for _ in range(container.get("livenessProbe", {}).get("failureThreshold", 3)):
                done, said = probe(pod, container, "livenessProbe")
                if done:
                    break
            else:
                raise Problem(f"{pod.name}: {said}")
    with report.check("k8s/overlays/dev, run: each path of the Ingresses leads by its Service to pods that answer it"):
        routes(documents, running)


def back(running: dict[str, tuple[pods.Pod, dict]]) -> None:
    """The gateway that was taken away is there again, also when the check before went wrong in the midst."""
    pair = running["gateway-1"]
    if pair[0].ended() is not None:
        pair[0].start()
    ready([pair])


def component(network: pods.Network, documents: list[dict], running: dict[str, tuple[pods.Pod, dict]]) -> None:
    """k8s/components/haproxy, in place of the Ingress."""
    gateways = [pod.address for name, (pod, _) in running.items() if name.startswith("gateway")]

    def replaced():
        leave(*running["gateway-1"])
        names.known = run_haproxy.known(documents, running, without="gateway-1")
        yield
        back(running)
        names.known = run_haproxy.known(documents, running)
        yield

    back(running)
    with Names(pods.OURS) as names:
        pair = run_haproxy.started(network, documents, names)
        # It waits for names that nobody knows yet.
        pods.until("HAProxy answers its own probe", PATIENCE, lambda: probe(*pair, "livenessProbe", first=False), [pair[0]])
        done, said = probe(*pair, "readinessProbe")
        if done:
            raise Problem(f"it is ready without a node: {said}")
        names.known = run_haproxy.known(documents, running)
        ready([pair])
        run_haproxy.chat(f"http://{pair[0].address}:8080", gateways, replaced())


def ready(pairs: list[tuple[pods.Pod, dict]]) -> None:
    """Waits for all of them, and asks each one every time: those that ended are started anew, whoever waits for them."""

    def answers() -> tuple[bool, str]:
        said = {pod.name: probe(pod, container, "readinessProbe") for pod, container in pairs}
        return all(done for done, _ in said.values()), str({name: why for name, (done, why) in said.items() if not done})

    pods.until("all are ready", PATIENCE, answers, [pod for pod, _ in pairs])


def routes(documents: list[dict], running: dict[str, tuple[pods.Pod, dict]]) -> None:
    """There is no kube-proxy and no ingress controller here: their rules are followed by hand, to every pod."""
    services = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "Service"}
    ingresses = [d["spec"] for d in documents if d["kind"] == "Ingress"]
    for rule in (path for spec in ingresses for path in spec["rules"][0]["http"]["paths"]):
        backend = rule["backend"]["service"]
        service = services[backend["name"]]
        [target] = [port["targetPort"] for port in service["ports"] if port["name"] == backend["port"]["name"]]
        role = kubernetes.by_labels(documents, service["selector"])["app.kubernetes.io/component"]
        selected = [pair for name, pair in running.items() if name.startswith(f"{role}-")]
        for pod, container in selected:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            url = f"http://{pod.address}:{ports[target]}{rule['path']}"
            status, said = get(url)
            # A socket wants an upgrade, a stream a token: other roles know neither path.
            if status not in ({"/": (200,), "/v1/events": (401,)}.get(rule["path"], (400, 401, 426))):
                raise Problem(f"{pod.name} answers {rule['path']} with {status}: {said[:200]}")


def services(documents: list[dict]) -> dict[str, int]:
    """The names that pods look up, by the Services: each must lead to a port that the container has."""
    names = {}
    for document in documents:
        name = document["metadata"]["name"]
        if document["kind"] == "Service" and name in SERVERS:
            deployment = next(d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == name)
            ports = {port["name"]: port["containerPort"] for port in container_of(deployment)["ports"]}
            for port in document["spec"]["ports"]:
                if ports.get(port["targetPort"]) != port["port"]:
                    raise Problem(f"the Service {name} has port {port['port']}, and its container {ports}")
            names[name] = SERVERS[name]
    return names


def variables(documents: list[dict]) -> dict[tuple[str, str], dict[str, str]]:
    """What each ConfigMap and Secret holds; a patch comes after what it changes."""
    held: dict[tuple[str, str], dict[str, str]] = {}
    for document in documents:
        if document["kind"] in ("ConfigMap", "Secret"):
            key = document["kind"], document["metadata"]["name"]
            held[key] = held.get(key, {}) | document.get("data", document.get("stringData", {}))
    return held


def container_of(document: dict) -> dict:
    return document["spec"]["template"]["spec"]["containers"][0]


def started(network: pods.Network, document: dict, held: dict) -> list[tuple[pods.Pod, dict]]:
    """The pods of a Deployment or Job; not HAProxy's, which comes later, with a DNS server of its own."""
    if document["kind"] not in ("Deployment", "Job") or document["metadata"]["name"] == "starling-haproxy":
        return []
    spec, container = document["spec"]["template"]["spec"], container_of(document)
    environment = {}
    for source in container.get("envFrom", []):
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        named = source.get("configMapRef") or source["secretRef"]
        if (kind, named["name"]) in held or not named.get("optional"):
            environment |= held[kind, named["name"]]
    environment |= {entry["name"]: entry["value"] for entry in container.get("env", [])}
    name = document["metadata"]["name"].removeprefix("starling-")
    if name == "postgres":
        image = images.Postgres(environment, network.folder)
    elif name == "redis":
        image = images.Redis(container["args"])
    else:
        image = images.Starling(container["args"])
    # The owner of PostgreSQL's files is another one on this machine; ours is the manifest's.
    said = spec["securityContext"]
    user = image.user if name in SERVERS else f"{said['runAsUser']}:{said['runAsGroup']}"
    binds = image.binds
    places = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    # Of its emptyDirs one holds the database that was set up before: as a bind.
    folders = image.folders | {place: images.owned(user) for place in places if not any(bind.startswith(place) for bind in binds)}
    made = []
    for number in NODES.get(name) or (SERVERS[name],):
        pod = network.pod(
            f"{name}-{number}" if name in NODES else name,
            number,
            command=image.command,
            environment=image.environment | environment,
            user=user,
            binds=binds,
            folders=folders,
            read_only=container["securityContext"].get("readOnlyRootFilesystem", False),
            workdir=image.workdir,
        )
        pod.start()
        made.append((pod, container))
    return made


def probe(pod: pods.Pod, container: dict, kind: str, first: bool = True) -> tuple[bool, str]:
    """Asks as the kubelet does: first whether it is up, with the manifest's own deadlines; and starts what has ended with an
    error anew. A Job is ready when it is done. Not `first`: whether it is up is not asked before.
    """
    code = pod.ended()
    if code is not None and code != 0:
        if pod.starts >= 10:
            raise Problem(f"{pod.name} ended with {code} for the tenth time:\n{pod.log}")
        pod.start()
        return False, f"it ended with {code}"
    if first and (startup := container.get("startupProbe")) and pod.up != pod.starts and code is None:
        done, said = answered(pod, container, startup)
        if not done:
            may = startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)
            if time.monotonic() - pod.since > may:
                raise Problem(f"{pod.name} is not up {may} s after its start, and would be killed: {said}\n{pod.log}")
            return False, said
        pod.up = pod.starts
    asked = container.get(kind)
    if asked is None:
        return ("ports" in container or code == 0), "it runs"
    if code == 0:
        raise Problem(f"{pod.name} ended:\n{pod.log}")
    return answered(pod, container, asked)


def answered(pod: pods.Pod, container: dict, asked: dict) -> tuple[bool, str]:
    """One try of a probe."""
    if "exec" in asked:
        code, said = pod.ask(asked["exec"]["command"], asked.get("timeoutSeconds", 1))
        return code == 0, said
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == asked["httpGet"]["port"])
    status, said = get(f"http://{pod.address}:{port}{asked['httpGet']['path']}", asked.get("timeoutSeconds", 1))
    return 200 <= status < 400, f"{status} {said}"


def leave(pod: pods.Pod, container: dict) -> None:
    """Kubernetes takes a pod away: `preStop`, SIGTERM, and the end in its time."""
    code, said = pod.ask(container["lifecycle"]["preStop"]["exec"]["command"], pods.MOMENT)
    if code != 0:
        raise Problem(f"preStop ended with {code}: {said}")
    if code := pod.stop(GRACE):
        raise Problem(f"it ended with {code}:\n{pod.log}")


def behind(network: pods.Network, name: str) -> Chat:
    """Starts a load balancer with the first block of commands of its README, as it stands there."""
    folder = ROOT / "deploy" / name
    found = re.search(r"^```sh[^\n]*\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    if not found:
        raise Problem(f"deploy/{name}/README.md has no block of commands")
    user = "65534:65534"
    # One to work in, and one where the README makes another for what nginx writes.
    folders = {"/work": images.owned(user), "/var/log": images.owned(user)}
    pod = network.pod(
        name,
        BALANCERS[name],
        command=["bash", "-ec", f"cp /templates/* .\n{found[1]}"],
        environment={"PATH": images.PATH},
        user=user,
        binds={f"/templates/{path.name}": path for path in folder.glob("*.template")},
        folders=folders,
        workdir="/work",
    )
    pod.start()
    url = f"http://{pod.address}:8080"

    def answers() -> tuple[bool, str]:
        if (code := pod.ended()) is not None:
            raise Problem(f"{name} ended with {code}:\n{pod.log}")
        status, said = get(f"{url}/v1/me")
        return status == 401, f"{status} {said}"

    pods.until(f"{name} leads to a node", PATIENCE, answers, [pod])
    return Chat(url)
