"""k8s/: overlays are built where there is a kustomize, validated for two Kubernetes versions, and their containers held
against the binary; their pods against pod_security.py, and what they have of k8s/base against inheritance.py; production a
second time, with what it has commented out. Without a kustomize the files are validated as they are.
"""

import shutil
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

import commented
import inheritance
import kubernetes_words
import maintenance
import pod_security
from ending import latest_end
from report import ROOT, Problem, Report, run
from roles import NODES, check_process

# The oldest and the newest that the manifests are for.
VERSIONS = ("1.27", "1.37")


def check(report: Report) -> None:
    builder = find_builder()
    if builder is None:
        report.skip("kustomize builds, because there is neither kubectl 1.27 nor kustomize; the files are taken as they are")
    base = []
    with report.check(f"k8s: the base {'builds' if builder else 'reads'}, and there are the overlays that docs/deploy.md names"):
        base = built(builder, ROOT / "k8s/base") if builder else raw(ROOT / "k8s/base")
        if missing := {"dev", "production", "redis-cluster"} - set(overlays()):
            raise Problem(f"there is no {' and no '.join(missing)}")
    for overlay in overlays():
        check_overlay(report, f"k8s/overlays/{overlay}", ROOT / "k8s/overlays" / overlay, builder, base)
    if builder:
        with tempfile.TemporaryDirectory() as folder:
            overlay = None
            with report.check("k8s/overlays/production: every file of it is named, if only in a line that is commented out"):
                overlay = commented.copy(Path(folder).resolve())
            if overlay:
                check_overlay(report, "k8s/overlays/production with what is commented out", overlay, builder, base)
    else:
        report.skip("what k8s/overlays/production has commented out, because it can only be built")
    kubernetes_words.check(report, VERSIONS[0])


def check_overlay(report: Report, name: str, folder: Path, builder: list[str] | None, base: list[dict]) -> None:
    documents = []
    with report.check(f"{name}: {'builds' if builder else 'reads'}"):
        documents = built(builder, folder) if builder else raw(folder)
    for version in VERSIONS:
        with report.check(f"{name}: follows the schemas of Kubernetes {version}"):
            validate(documents, version)
    with report.check(f"{name}: its pods are `restricted`"):
        pod_security.check(documents)
    with report.check(f"{name}: machines can be emptied, and migrations have their time and their role"):
        maintenance.check(documents)
    if builder:
        with report.check(f"{name}: has all that guards the nodes in k8s/base"):
            inheritance.check(base, documents)
    secret = next((d for d in documents if d["kind"] == "Secret"), None)
    secret = secret or yaml.safe_load((folder / "secret.example.yaml").read_text())
    check_nodes(report, name, documents, secret, merged=builder is not None)


def overlays() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "k8s/overlays").glob("*/kustomization.yaml"))


def find_builder():
    """The command that builds an overlay, if one here can."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            try:
                run(*command, ROOT / "k8s/base")
                return command
            except Problem as problem:
                # Too old a one refuses the file itself; a mistake in our files must not hide behind that.
                if "unknown field" not in str(problem) and "unknown command" not in str(problem):
                    return command
    return None


def built(builder: list[str], folder: Path) -> list[dict]:
    return list(yaml.safe_load_all(run(*builder, folder)))


def raw(folder: Path) -> list[dict]:
    """The files that kustomization.yaml names, the base's first; patches of whole files are documents too."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = kustomization.get("resources", []) + kustomization.get("components", [])
    named += [p["path"] for p in kustomization.get("patches", []) if "path" in p]
    documents = []
    for name in sorted(named, key=lambda name: not name.startswith("..")):
        path = (folder / name).resolve()
        if path.is_dir():
            documents += raw(path)
        else:
            documents += list(yaml.safe_load_all(path.read_text()))
    return documents


def validate(documents: list[dict], version: str) -> None:
    problems = []
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except Exception as error:  # several kinds, one meaning
            name = f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"
            problems.append(f"{name}: {getattr(error, 'message', error)}")
    if problems or not documents:
        raise Problem("\n".join(problems) or "there is nothing in it")


def check_nodes(report: Report, overlay_name: str, documents: list[dict], secret: dict, merged: bool) -> None:
    environment = {}
    for document in documents:  # an overlay's patch comes after what it changes
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "starling":
            environment |= document["data"]
    environment |= secret["stringData"]
    seen = {}
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec") if document["kind"] in ("Deployment", "Job") else None
        ours = [c for c in (pod or {}).get("containers", []) if c["image"].split(":")[0].split("/")[-1] == "starling"]
        for container in ours:
            name = document["metadata"]["name"]
            with report.check(f"{overlay_name}: {name} runs with its command and environment"):
                seen[container["args"][0]] = pod
                check_pod(pod, container, check_process(container["args"], environment))
    with report.check(f"{overlay_name}: has every role, reachable and guarded"):
        if sorted(seen) != ["api", "gateway", "migrate"]:
            raise Problem(f"its roles are {sorted(seen)}")
        names = {(document["kind"], document["metadata"]["name"]) for document in documents}
        for kind in ("Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress"):
            for role in ("gateway", "api"):
                if (kind, f"starling-{role}") not in names:
                    raise Problem(f"there is no {kind} for {role}")
        for kind in ("NetworkPolicy", "ServiceAccount"):
            if (kind, "starling") not in names:
                raise Problem(f"there is no {kind}")
        if merged:
            check_selectors(documents)


def check_pod(pod: dict, container: dict, settings: dict[str, str]) -> None:
    if pod.get("enableServiceLinks") is not False:
        raise Problem("enableServiceLinks: Kubernetes would add variables that look like settings")
    if container["args"][0] not in NODES:
        return
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listening = {
        "http": int(settings["STARLING_LISTEN"].rsplit(":", 1)[1]),
        "admin": int(settings["STARLING_ADMIN_LISTEN"].rsplit(":", 1)[1]),
    }
    if ports != listening:
        raise Problem(f"its ports are {ports}, and it listens on {listening}")
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        if container[probe]["httpGet"] != {"path": path, "port": "admin"}:
            raise Problem(f"its {probe} does not ask {path} on the admin port")
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    end, grace = latest_end(settings), pod["terminationGracePeriodSeconds"]
    if grace < before + end:
        raise Problem(f"terminationGracePeriodSeconds is {grace}: less than preStop's {before}, and {end} in which it ends")


def by_labels(documents: list[dict], selector: dict) -> dict:
    """The labels of the one kind of pods that a selector finds."""
    templates = [d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] in ("Deployment", "StatefulSet")]
    found = [labels for labels in templates if selector.items() <= labels.items()]
    if len(found) != 1:
        raise Problem(f"{selector} selects {len(found)} kinds of pods, not one")
    return found[0]


def check_selectors(documents: list[dict]) -> None:
    """Every selector finds the pods that it is meant for."""
    pods = [
        d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] in ("Deployment", "Job", "StatefulSet")
    ]
    for document in documents:
        spec = document.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector"))
        labels = selector.get("matchLabels", selector) if isinstance(selector, dict) else None
        if document["kind"] not in ("Service", "PodDisruptionBudget", "Deployment") or labels is None:
            continue
        found = sum(1 for pod in pods if labels.items() <= pod.items())
        if found != 1:
            raise Problem(f"{document['kind']}/{document['metadata']['name']} selects {found} kinds of pods, not one")
