"""k8s/components/haproxy with the nodes that run: its pod with the manifest's command, user, rights and probes, and a
DNS that knows the pods of the headless Services. Pods come and go while people chat.
"""

import time

import images
import pods
from kubernetes import by_labels
from report import Problem
from smoke import Chat, connections

NUMBER = 22
NAMESPACE = "starling-dev"
HEARD = 30  # seconds within which HAProxy has looked a name up again and asked who is behind it


def started(network: pods.Network, documents: list[dict], names) -> tuple[pods.Pod, dict]:
    """Its pod. `names`: the DNS server."""
    named = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    spec = named["Deployment", "starling-haproxy"]["spec"]["template"]["spec"]
    container = spec["containers"][0]
    [mount] = container["volumeMounts"]
    config = named["ConfigMap", spec["volumes"][0]["configMap"]["name"]]
    folder = network.folder / "of-component"
    folder.mkdir()
    binds = {}
    texts = {f"{mount['mountPath']}/{name}": text for name, text in config["data"].items()}
    texts["/etc/resolv.conf"] = f"nameserver {names.socket.getsockname()[0]}\n"
    for number, (place, text) in enumerate(texts.items()):
        binds[place] = folder / str(number)
        binds[place].write_text(text)
        binds[place].chmod(0o644)
    given = {"metadata.namespace": NAMESPACE}
    environment = {
        entry["name"]: entry["value"] if "value" in entry else given[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        for entry in container["env"]
    }
    said = spec["securityContext"]
    pod = network.pod(
        "haproxy-of-component",
        NUMBER,
        command=container["command"],
        environment={"PATH": images.PATH, **environment},
        user=f"{said['runAsUser']}:{said['runAsGroup']}",
        binds=binds,
        read_only=container["securityContext"]["readOnlyRootFilesystem"],
    )
    pod.start()
    return pod, container


def known(documents: list[dict], running: dict, without: str = "") -> dict[str, list[str]]:
    """The names of the headless Services, with the addresses of the pods that they select."""
    found = {}
    for document in documents:
        if document["kind"] == "Service" and document["spec"].get("clusterIP") == "None":
            role = by_labels(documents, document["spec"]["selector"])["app.kubernetes.io/component"]
            name = f"{document['metadata']['name']}.{NAMESPACE}.svc.cluster.local"
            there = {pod_name: pod.address for pod_name, (pod, _) in running.items() if pod_name != without}
            found[name] = [address for pod_name, address in there.items() if pod_name.startswith(f"{role}-")]
    if len(found) != 2:
        raise Problem(f"its headless Services are {sorted(found)}")
    return found


def chat(url: str, gateways: list[str], replaced) -> None:
    """People chat over all gateways while one is `replaced`, which ends and starts it."""
    people = Chat(url)
    people.talk()
    people.stream()
    people.spread(gateways)
    for _ in replaced:
        people.connect()
        people.talk()
    # The one that came back gets new sockets, since it has the fewest, once HAProxy has heard of it and asked it.
    deadline = time.monotonic() + HEARD
    while min(connections(address) for address in gateways) < 1:
        if time.monotonic() > deadline:
            raise Problem(f"the gateway that came back gets no sockets within {HEARD} s")
        people.anew()
    people.close()
