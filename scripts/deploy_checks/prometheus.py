"""deploy/prometheus: promtool on the configurations, the rules and their tests; every alert tested, explained, and made
of metrics that nodes export.
"""

import json
import math
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import yaml

import kubernetes
from exported import Catalogue, judge, recorded
from report import ROOT, Problem, Report, run

HERE = ROOT / "deploy/prometheus"
RUNBOOK = "docs/troubleshooting.md"
NAMESPACE = "starling"
SEVERITIES = ("critical", "warning")


def check(report: Report, catalogue: Catalogue) -> Catalogue:
    """Gives the catalogue with what the rules record."""
    rules = [rule for file in rule_files() for rule in rules_in(file)]
    alerts = [rule for rule in rules if "alert" in rule]
    catalogue = recorded(rules, catalogue)
    if shutil.which("promtool"):
        with report.check("promtool check config deploy/prometheus/prometheus.yml"):
            run("promtool", "check", "config", HERE / "prometheus.yml")
        if can_discover():
            with report.check("deploy/prometheus/kubernetes.yml takes the pods of k8s/base and HAProxy's, once each"):
                discovered()
        else:
            report.skip("deploy/prometheus/kubernetes.yml, because promtool is too old for it")
        for file in sorted((HERE / "tests").glob("*.yml")):
            with report.check(f"promtool test rules deploy/prometheus/tests/{file.name}"):
                run("promtool", "test", "rules", file)
    else:
        report.skip("deploy/prometheus by promtool, because there is none")
    with report.check("deploy/prometheus: rules name metrics and labels that nodes export"):
        problems = [
            f"{rule.get('alert', rule.get('record'))}: {problem}"
            for rule in rules
            for problem in judge(rule["expr"], catalogue, labels_in(rule.get("annotations", {})))
        ]
        if problems:
            raise Problem("\n".join(problems))
    with report.check("deploy/prometheus: every alert has a test in which it fires"):
        tested = {name for file in (HERE / "tests").glob("*.yml") for name in fires_in(file)}
        if untested := [rule["alert"] for rule in alerts if rule["alert"] not in tested]:
            raise Problem(f"never fires in a test: {', '.join(untested)}")
    with report.check(f"deploy/prometheus: every alert is explained in {RUNBOOK}"):
        check_explained(alerts)
    with report.check("deploy/prometheus/prometheus.yml scrapes the nodes of docker-compose.yml"):
        check_targets()
    with report.check("deploy/prometheus: half of the memory that k8s/base gives is where its alert begins"):
        check_memory(next(rule["expr"] for rule in alerts if rule["alert"] == "StarlingMemoryHigh"))
    with report.check("deploy/prometheus/kubernetes-rights.yaml: Prometheus may list the pods, and is let in to them"):
        check_rights()
    return catalogue


def rule_files() -> list[Path]:
    return sorted((HERE / "rules").glob("*.yml"))


def rules_in(file: Path) -> list[dict]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def labels_in(annotations: dict[str, str]) -> set[str]:
    return set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values())))


def fires_in(file: Path) -> set[str]:
    """The alerts that some test expects."""
    cases = [test for case in yaml.safe_load(file.read_text())["tests"] for test in case.get("promql_expr_test", [])]
    expected = [sample["labels"] for test in cases for sample in test.get("exp_samples", [])]
    return set(re.findall(r'alertname="(\w+)"', " ".join(expected)))


def check_explained(alerts: list[dict]) -> None:
    page = (ROOT / RUNBOOK).read_text()
    section = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (.+)$", section, re.MULTILINE)
    repository = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["repository"]
    problems = []
    for rule in alerts:
        name, notes = rule["alert"], rule.get("annotations", {})
        problems += [f"{name} has no {note}" for note in ("summary", "description", "runbook_url") if not notes.get(note)]
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            problems.append(f"{name}: its severity is none of {', '.join(SEVERITIES)}")
        if notes.get("runbook_url") != f"{repository}/blob/main/{RUNBOOK}#{name.lower()}":
            problems.append(f"{name}: its runbook_url does not lead to its section of {RUNBOOK}")
        if name not in headings:
            problems.append(f"{RUNBOOK} has no section {name} below its heading Alerts")
    known = {rule["alert"] for rule in alerts}
    problems += [f"{RUNBOOK} explains {heading}, which is no alert" for heading in headings if heading not in known]
    if len(known) != len(alerts):
        problems.append("two alerts have the same name")
    if problems or not alerts:
        raise Problem("\n".join(problems) or "there are no alerts")


def check_targets() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    nodes = {
        f"{name}:{service['environment']['STARLING_ADMIN_LISTEN'].rsplit(':', 1)[1]}"
        for name, service in services.items()
        if service["image"].startswith("starling") and service["command"][0] in ("gateway", "api", "serve")
    }
    jobs = yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    if targets != nodes:
        raise Problem(f"its targets are {sorted(targets)}, and the nodes {sorted(nodes)}")


def can_discover() -> bool:
    try:
        run("promtool", "check", "service-discovery", "--help")
    except Problem:
        return False
    return True


def check_memory(expression: str) -> None:
    """By role, in this order; a number such as `512 * 1024 ^ 2`."""
    for role, found in zip(("gateway", "api"), re.findall(r"> 0\.5 \* ([\d *^]+)$", expression, re.MULTILINE), strict=True):
        documents = yaml.safe_load_all((ROOT / f"k8s/base/{role}.yaml").read_text())
        pod = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
        limit = pod["containers"][0]["resources"]["limits"]["memory"]
        given = int(limit[:-2]) * 1024 ** ("Ki", "Mi", "Gi").index(limit[-2:]) * 1024
        thought = math.prod(int(base) ** int(power or 1) for base, power in re.findall(r"(\d+)(?: \^ (\d+))?", found))
        if thought != given:
            raise Problem(f"{role}: it thinks of {thought} bytes, and {limit} are given")


def check_rights() -> None:
    documents = list(yaml.safe_load_all((HERE / "kubernetes-rights.yaml").read_text()))
    for version in kubernetes.VERSIONS:
        kubernetes.validate(documents, version)
    role, binding = documents
    if (role["kind"], binding["kind"]) != ("Role", "RoleBinding"):
        raise Problem("they are no Role and no RoleBinding: more than the pods of one namespace is not needed")
    if role["rules"] != [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]:
        raise Problem("it may do something else than read pods")
    if {role["metadata"]["namespace"], binding["metadata"]["namespace"]} != {NAMESPACE}:
        raise Problem(f"they are not for {NAMESPACE}")
    if (binding["roleRef"]["kind"], binding["roleRef"]["name"]) != ("Role", role["metadata"]["name"]):
        raise Problem("the binding is of another role")
    (subject,) = binding["subjects"]
    # The label that the network policies ask for, on the namespace of who is let in.
    policies = [
        rule["from"][0]["namespaceSelector"]["matchLabels"]
        for file in ("base/network-policy.yaml", "components/haproxy/haproxy.yaml")
        for document in yaml.safe_load_all((ROOT / "k8s" / file).read_text())
        if document["kind"] == "NetworkPolicy"
        for rule in document["spec"]["ingress"]
        if "namespaceSelector" in rule.get("from", [{}])[0]
    ]
    command = f"kubectl label namespace {subject['namespace']} {'='.join(*policies[0].items())}\n"
    if policies != [policies[0]] * 2 or command not in (HERE / "README.md").read_text():
        raise Problem(f"the policies ask for different labels, or README.md does not say: {command}")


def discovered() -> None:
    """What becomes of pods like those of k8s/. They come from a file: Debian's promtool cannot ask Kubernetes."""
    config = yaml.safe_load((HERE / "kubernetes.yml").read_text())
    targets, wanted = [], {"starling": [], "haproxy": []}
    documents = {role: f"k8s/base/{role}.yaml" for role in ("gateway", "api", "migrate")} | {
        "haproxy": "k8s/components/haproxy/haproxy.yaml"
    }
    for role, file in documents.items():
        pod = next(d for d in yaml.safe_load_all((ROOT / file).read_text()) if d["kind"] in ("Deployment", "Job"))
        pod, job, port_name = pod["spec"]["template"], *(("haproxy", "health") if role == "haproxy" else ("starling", "admin"))
        labels = {"app.kubernetes.io/name": "starling", **pod["metadata"]["labels"]}
        for phase in ("Running", "Failed"):
            name = f"starling-{role}-{phase.lower()}"
            # A container without ports is listed once, without a port.
            for port in pod["spec"]["containers"][0].get("ports", [{}]):
                targets.append(target(name, labels, phase, port))
                if phase == "Running" and port.get("name") == port_name:
                    wanted[job].append((f"10.0.0.1:{port['containerPort']}", name, name, NAMESPACE))
    targets.append(target("other", {"app.kubernetes.io/name": "other"}, "Running", {"name": "admin", "containerPort": 9180}))
    with tempfile.TemporaryDirectory() as folder:
        pods, file = Path(folder) / "pods.json", Path(folder) / "prometheus.yml"
        pods.write_text(json.dumps(targets))
        config["rule_files"] = [str(HERE / name) for name in config["rule_files"]]
        for job in config["scrape_configs"]:
            if job.pop("kubernetes_sd_configs") != [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]:
                raise Problem(f"what {job['job_name']} discovers are not the pods of {NAMESPACE}")
            job["file_sd_configs"] = [{"files": [str(pods)]}]
        file.write_text(yaml.safe_dump(config))
        run("promtool", "check", "config", file)
        jobs = [job["job_name"] for job in config["scrape_configs"]]
        answers = {job: run("promtool", "check", "service-discovery", "--timeout", "1s", file, job) for job in jobs}
    if answers.keys() != wanted.keys():
        raise Problem(f"its jobs are {jobs}: one that begins with `starling` is a cluster")
    shown = ("__address__", "instance", "pod", "namespace")
    for job, answer in answers.items():
        # Behind the list there may be a line of its log.
        found = [pod["labels"] for pod in json.JSONDecoder().raw_decode(answer)[0] if pod["labels"]]
        taken = sorted(tuple(labels.get(label, "") for label in shown) for labels in found)
        if taken != sorted(wanted[job]) or not wanted[job]:
            raise Problem(f"of pods like those of k8s/ {job} takes {taken}, and should take {sorted(wanted[job])}")


def target(name: str, labels: dict[str, str], phase: str, port: dict) -> dict:
    """One port of a pod, as Prometheus discovers it."""
    meta = {f"pod_label_{re.sub(r'[^a-zA-Z0-9_]', '_', label)}": value for label, value in labels.items()}
    meta |= {"pod_name": name, "pod_phase": phase, "pod_container_port_name": port.get("name", ""), "namespace": NAMESPACE}
    address = f"10.0.0.1:{port['containerPort']}" if port else "10.0.0.1"
    return {"targets": [address], "labels": {f"__meta_kubernetes_{key}": value for key, value in meta.items()}}
