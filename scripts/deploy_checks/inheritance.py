"""An overlay has all that guards the nodes in k8s/base: autoscalers, disruption budgets, network policy, ingress, and
pods that are spread over machines and zones. It may change numbers and names, and add; it may take nothing away, and what
it adds may not open what the base closes.
"""

from report import Problem

ROLES = ("starling-gateway", "starling-api")
# What the base must have, lest an overlay inherit nothing.
GUARDS = (
    *(("HorizontalPodAutoscaler", role) for role in ROLES),
    *(("PodDisruptionBudget", role) for role in ROLES),
    *(("Deployment", role) for role in ROLES),
    *(("Ingress", role) for role in ROLES),
    ("NetworkPolicy", "starling"),
)


def check(base: list[dict], overlay: list[dict]) -> None:
    """Raises with everything that the overlay lost."""
    inherited, present = by_name(base), by_name(overlay)
    problems = [f"the base has no {kind}/{name}" for kind, name in GUARDS if (kind, name) not in inherited]
    for (kind, name), of_base in inherited.items():
        found = present.get((kind, name))
        if found is None:
            problems.append(f"{kind}/{name} of the base is missing")
        elif kind in COMPARE:
            problems += [f"{kind}/{name}: {problem}" for problem in COMPARE[kind](of_base, found)]
    for (kind, name), document in present.items():
        if kind == "NetworkPolicy" and (kind, name) not in inherited and concerns_nodes(document["spec"], overlay):
            problems += [f"{kind}/{name}: {problem}" for problem in addition(document["spec"])]
    problems += hosts([document for (kind, _), document in present.items() if kind == "Ingress"])
    if problems:
        raise Problem("\n".join(problems))


def by_name(documents: list[dict]) -> dict[tuple[str, str], dict]:
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def autoscaler(base: dict, overlay: dict) -> list[str]:
    base, overlay = base["spec"], overlay["spec"]
    found = differing(base, overlay, "scaleTargetRef", "behavior")
    found += [f"does not look at {metric} any more" for metric in base["metrics"] if metric not in overlay["metrics"]]
    # One pod is no cluster: it must be possible to drain it.
    if not 2 <= overlay.get("minReplicas", 1) <= overlay["maxReplicas"]:
        found.append(f"from {overlay.get('minReplicas', 1)} to {overlay['maxReplicas']} pods")
    return found


def budget(base: dict, overlay: dict) -> list[str]:
    return differing(base["spec"], overlay["spec"], "selector", "maxUnavailable", "minAvailable")


def policy(base: dict, overlay: dict) -> list[str]:
    base, overlay = base["spec"], overlay["spec"]
    found = differing(base, overlay, "podSelector", "policyTypes")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        allowed = {(port["protocol"], port["port"]) for rule in base[direction] for port in rule["ports"]}
        for rule in overlay.get(direction) or []:
            ports = {(port.get("protocol"), port.get("port")) for port in rule.get("ports", [])}
            if not ports or ports - allowed:
                found.append(f"{direction} to {sorted(map(str, ports - allowed)) or 'all ports'} is open")
        # Who may read metrics is told by a label; that may be narrowed, and not be taken away.
        guarded = [rule["ports"] for rule in base[direction] if rule.get(peers)]
        for rule in overlay.get(direction) or []:
            if rule.get("ports") in guarded and not rule.get(peers):
                found.append(f"{direction}: {rule['ports']} is open to all")
    return found


def addition(policy: dict) -> list[str]:
    """What a further policy opens, since policies add up: ports by name, and inwards only to who is named."""
    found = []
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy.get(direction) or []:
            if not all("port" in port for port in rule.get("ports") or [{}]):
                found.append(f"{direction} to all ports is open")
            if direction == "ingress" and not rule.get(peers):
                found.append(f"{direction}: {rule.get('ports')} is open to all")
    return found


def concerns_nodes(policy: dict, overlay: list[dict]) -> bool:
    nodes = [d["spec"]["template"]["metadata"] for d in overlay if d["kind"] == "Deployment" and d["metadata"]["name"] in ROLES]
    return any(selects(policy["podSelector"], metadata["labels"]) for metadata in nodes)


def selects(selector: dict, labels: dict[str, str]) -> bool:
    """Of expressions `In` alone is known; any other one may select everything."""
    alike = selector.get("matchLabels", {}).items() <= labels.items()
    expressions = [rule for rule in selector.get("matchExpressions", []) if rule["operator"] == "In"]
    return alike and all(labels.get(rule["key"]) in rule["values"] for rule in expressions)


def hosts(ingresses: list[dict]) -> list[str]:
    """A certificate is for the host that is asked for; and both roles are behind the same one."""
    found, of_roles = [], {}
    for document in ingresses:
        name, spec = document["metadata"]["name"], document["spec"]
        asked = sorted({str(rule.get("host")) for rule in spec.get("rules", [])})
        certified = sorted({host for tls in spec.get("tls", []) for host in tls.get("hosts", [])})
        if "tls" in spec and certified != asked:
            found.append(f"Ingress/{name}: its rules are for {asked}, its tls for {certified}")
        if name in ROLES:
            of_roles[name] = asked, certified
    if any(of_role != list(of_roles.values())[0] for of_role in of_roles.values()):
        found.append(f"the roles' Ingresses have other hosts, or tls, each: {of_roles}")
    return found


def ingress(base: dict, overlay: dict) -> list[str]:
    annotations = base["metadata"]["annotations"].items() - overlay["metadata"].get("annotations", {}).items()
    found = [f"the annotation {name} is not {value}" for name, value in sorted(annotations)]
    paths = base["spec"]["rules"][0]["http"]["paths"]
    for rule in overlay["spec"]["rules"]:
        if rule["http"]["paths"] != paths:
            found.append(f"the paths of {rule.get('host')} are others")
    return found


def deployment(base: dict, overlay: dict) -> list[str]:
    found = differing(base["spec"], overlay["spec"], "strategy", "replicas", "selector")
    base, overlay = base["spec"]["template"]["spec"], overlay["spec"]["template"]["spec"]
    spread = {constraint["topologyKey"] for constraint in base.get("topologySpreadConstraints", [])}
    if spread != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        found.append(f"the base spreads its pods over {sorted(spread)}")
    # A longer drain takes longer; that it is long enough is looked at in kubernetes.py.
    least, grace = (spec.get("terminationGracePeriodSeconds", 30) for spec in (base, overlay))
    if grace < least:
        found.append(f"terminationGracePeriodSeconds is {grace}, less than {least} in the base")
    return found + differing(base, overlay, "topologySpreadConstraints")


def differing(base: dict, overlay: dict, *keys: str) -> list[str]:
    return [f"{key} is {overlay.get(key)}, and {base.get(key)} in the base" for key in keys if base.get(key) != overlay.get(key)]


COMPARE = {
    "HorizontalPodAutoscaler": autoscaler,
    "PodDisruptionBudget": budget,
    "NetworkPolicy": policy,
    "Ingress": ingress,
    "Deployment": deployment,
}
