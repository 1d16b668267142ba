"""k8s/: a machine can be emptied, also while PostgreSQL is away; migrations have their time, and a role if one wants.

What an evicted pod would do, no test here sees: there is no scheduler. So these are the lines that decide it.
"""

from report import Problem

NODES = ("starling-gateway", "starling-api")
DAY = 86_400  # seconds
# The Secret that has the owner's DATABASE_URL, and may be absent.
OWNER = {"secretRef": {"name": "starling-migrate", "optional": True}}


def check(documents: list[dict]) -> None:
    """Raises with all that is wrong."""
    problems = []
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        spec = document.get("spec", {})
        pod = spec.get("template", {}).get("spec", {}) if isinstance(spec.get("template"), dict) else {}
        for rule in pod.get("topologySpreadConstraints", []):
            # A cordoned machine counts by default: the others are full, and the budget lets nothing more go.
            if rule["whenUnsatisfiable"] == "DoNotSchedule" and rule.get("nodeTaintsPolicy") != "Honor":
                problems.append(f"{name}: what is evicted finds no place, for want of nodeTaintsPolicy: Honor")
        if document["kind"] == "PodDisruptionBudget" and document["metadata"]["name"] in NODES:
            if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                problems.append(f"{name}: while PostgreSQL is away none of its pods can be evicted")
        if name == "Job/starling-migrate" and spec.get("activeDeadlineSeconds", DAY) < DAY:
            problems.append(f"{name}: is ended after {spec['activeDeadlineSeconds']} s, and would never build a large index")
        for container in pod.get("containers", []):
            problems += [f"{name}: {problem}" for problem in sources(container)]
    if problems:
        raise Problem("\n".join(problems))


def sources(container: dict) -> list[str]:
    """The owner's Secret comes last, for it overrides; and nodes never read it."""
    read = container.get("envFrom", [])
    if container.get("args") == ["migrate"]:
        return [] if read[-1:] == [OWNER] else ["does not read the optional Secret starling-migrate last"]
    return ["reads the owner's Secret"] if any("starling-migrate" in str(source) for source in read) else []
