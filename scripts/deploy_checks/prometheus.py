"""deploy/prometheus: promtool on the configurations, the rules and their tests; every alert tested, explained, and made
of metrics that nodes export.
"""

import json
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import yaml

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
            with report.check("deploy/prometheus/kubernetes.yml takes the pods of k8s/base, once each"):
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


def discovered() -> None:
    """What becomes of pods like those of k8s/base. They come from a file: Debian's promtool cannot ask Kubernetes."""
    config = yaml.safe_load((HERE / "kubernetes.yml").read_text())
    (job,) = config["scrape_configs"]
    if job.pop("kubernetes_sd_configs") != [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]:
        raise Problem(f"what it discovers are not the pods of {NAMESPACE}")
    wanted, targets = [], []
    for role in ("gateway", "api", "migrate"):
        documents = yaml.safe_load_all((ROOT / f"k8s/base/{role}.yaml").read_text())
        pod = next(d["spec"]["template"] for d in documents if d["kind"] in ("Deployment", "Job"))
        labels = {"app.kubernetes.io/name": "starling", **pod["metadata"]["labels"]}
        for phase in ("Running", "Failed"):
            name = f"starling-{role}-{phase.lower()}"
            # A container without ports is listed once, without a port.
            for port in pod["spec"]["containers"][0].get("ports", [{}]):
                targets.append(target(name, labels, phase, port))
                if phase == "Running" and port.get("name") == "admin":
                    wanted.append((f"10.0.0.1:{port['containerPort']}", name, name, NAMESPACE))
    targets.append(target("other", {"app.kubernetes.io/name": "other"}, "Running", {"name": "admin", "containerPort": 9180}))
    with tempfile.TemporaryDirectory() as folder:
        pods, file = Path(folder) / "pods.json", Path(folder) / "prometheus.yml"
        pods.write_text(json.dumps(targets))
        config["rule_files"] = [str(HERE / name) for name in config["rule_files"]]
        job["file_sd_configs"] = [{"files": [str(pods)]}]
        file.write_text(yaml.safe_dump(config))
        run("promtool", "check", "config", file)
        answer = run("promtool", "check", "service-discovery", "--timeout", "1s", file, job["job_name"])
    # Behind the list there may be a line of its log.
    found = [pod["labels"] for pod in json.JSONDecoder().raw_decode(answer)[0] if pod["labels"]]
    shown = ("__address__", "instance", "pod", "namespace")
    taken = sorted(tuple(labels.get(label, "") for label in shown) for labels in found)
    if taken != sorted(wanted) or not wanted:
        raise Problem(f"of pods like those of k8s/base it takes {taken}, and should take {sorted(wanted)}")


def target(name: str, labels: dict[str, str], phase: str, port: dict) -> dict:
    """One port of a pod, as Prometheus discovers it."""
    meta = {f"pod_label_{re.sub(r'[^a-zA-Z0-9_]', '_', label)}": value for label, value in labels.items()}
    meta |= {"pod_name": name, "pod_phase": phase, "pod_container_port_name": port.get("name", ""), "namespace": NAMESPACE}
    address = f"10.0.0.1:{port['containerPort']}" if port else "10.0.0.1"
    return {"targets": [address], "labels": {f"__meta_kubernetes_{key}": value for key, value in meta.items()}}
