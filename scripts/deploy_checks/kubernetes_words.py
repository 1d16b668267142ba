"""What pages and comments say of k8s/, where it can be compared: how the Secret is made, how many connections to PostgreSQL
the autoscalers may ask for, where the local cluster answers, which Kubernetes is the oldest.
"""

import re
from pathlib import Path

import yaml

from report import ROOT, Problem, Report

OVERLAYS = ROOT / "k8s/overlays"
NAMESPACE = "kubectl create namespace starling\n"


def check(report: Report, oldest: str) -> None:
    example = OVERLAYS / "production/secret.example.yaml"
    with report.check("docs/operations.md: the quick start makes the Secret of secret.example.yaml"):
        secret(ROOT / "docs/operations.md", example)
    for file in sorted(OVERLAYS.glob("*/secret.example.yaml")):
        with report.check(f"{file.relative_to(ROOT)}: its command makes what it shows, in a namespace that is there"):
            secret(file, file)
    with report.check("k8s/base and docs/operations.md: what PostgreSQL must hold is what the autoscalers may ask for"):
        connections()
    with report.check("docs/deploy.md: k8s/overlays/dev lets in who comes as the page says"):
        port_forward()
    with report.check(f"docs/deploy.md: Kubernetes {oldest} is the oldest"):
        if f"Kubernetes {oldest} or later" not in (ROOT / "docs/deploy.md").read_text():
            raise Problem("it names another one, or none")


def secret(text: Path, example: Path) -> None:
    """The command in a text has the keys of the example that overlays are checked with."""
    before, _, command = text.read_text().partition("create secret generic starling ")
    wanted = set(yaml.safe_load(example.read_text())["stringData"])
    made = set(re.findall(r"--from-literal=(\w+)=", re.split(r"\n(?:kubectl|apiVersion)", command)[0]))
    if made != wanted:
        raise Problem(f"it makes {sorted(made)}, and the example has {sorted(wanted)}")
    if NAMESPACE not in before:
        raise Problem("its namespace may not be there yet")


def port_forward() -> None:
    """A browser there names this origin, and a gateway refuses others."""
    page = (ROOT / "docs/deploy.md").read_text()
    found = re.search(r"kubectl -n starling-dev port-forward service/starling-haproxy (\d+):80\b", page)
    origins = yaml.safe_load((OVERLAYS / "dev/config.yaml").read_text())["data"]["STARLING_ALLOWED_ORIGINS"].split(",")
    if found is None or f"http://localhost:{found[1]}" not in origins:
        raise Problem(f"it forwards {found and found[1]}, and the overlay takes {origins}")


def connections() -> None:
    """docs/scaling.md has the formula; 16 is the default of STARLING_DATABASE_CONNECTIONS."""
    pages = {name: (ROOT / name).read_text() for name in ("docs/configuration.md", "docs/scaling.md", "docs/operations.md")}
    each = re.search(r"`STARLING_DATABASE_CONNECTIONS` \|(.*)$", pages["docs/configuration.md"], re.MULTILINE)
    if each is None or "| `16` |" not in each[0] or "(gateways + api nodes) × (2 × 16 + 8) |" not in pages["docs/scaling.md"]:
        raise Problem("the default of STARLING_DATABASE_CONNECTIONS or the formula of docs/scaling.md is another one")
    most = {}
    for role in ("gateway", "api"):
        documents = yaml.safe_load_all((ROOT / f"k8s/base/{role}.yaml").read_text())
        most[role] = next(d["spec"]["maxReplicas"] for d in documents if d["kind"] == "HorizontalPodAutoscaler")
    nodes = sum(most.values())
    said = f"{nodes * 16} connections to PostgreSQL, and up to {nodes * (2 * 16 + 8):,} for a second"
    if f"With api's {most['api']} these are {nodes} nodes: {said}" not in (ROOT / "k8s/base/gateway.yaml").read_text():
        raise Problem(f"the comment of k8s/base/gateway.yaml does not say: {said}")
    page = " ".join(pages["docs/operations.md"].split())
    if f"{most['gateway']} gateways and {most['api']} api nodes are {said}" not in page:
        raise Problem(f"docs/operations.md does not say: {most['gateway']} gateways and {most['api']} api nodes are {said}")
