"""Which metrics nodes export, and whether an expression names only those.

A running node cannot be asked for all of them: a metric with labels shows once it has counted something. The truth is
docs/metrics.md, which a test of the server keeps equal to what the sources register; here a node is started and what it
does show is compared with the page, both ways.
"""

import re
import subprocess
import tempfile
import threading
import urllib.request
from dataclasses import dataclass
from functools import cache

import promql
from report import ROOT, Problem, Report, starling

PAGE = ROOT / "docs/metrics.md"
# Prometheus puts the first two on everything that it scrapes.
TARGET = frozenset({"job", "instance"})
PROMETHEUS = {"up": frozenset(), "ALERTS": frozenset({"alertname", "alertstate", "severity"})}
# What kube-state-metrics exports of a Job.
KUBERNETES = {"kube_job_failed": frozenset({"namespace", "job_name", "condition"})}
# A node of a cluster that reaches neither part shows the metrics of both roles and of both parts.
ALONE = {
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1",
    "STARLING_JWT_SECRET": "x" * 32,
    "STARLING_LISTEN": "127.0.0.1:0",
    "STARLING_ADMIN_LISTEN": "127.0.0.1:0",
    "STARLING_DRAIN_WINDOW": "0s",
}
END = 60  # seconds


@dataclass(frozen=True)
class Metric:
    kind: str
    labels: frozenset[str] = frozenset()


Catalogue = dict[str, frozenset[str]]


def check(report: Report) -> Catalogue:
    """What a query may name: the series' names with their labels."""
    metrics = {}
    with report.check("docs/metrics.md has the metrics that a running node shows"):
        metrics = documented()
        compare(metrics, shown())
    return series(metrics)


@cache
def documented() -> dict[str, Metric]:
    """The rows of docs/metrics.md, and the metrics of the process that its head names."""
    page = PAGE.read_text()
    rows = re.findall(r"^\| `(starling_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    metrics = {name: Metric(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    if not metrics:
        raise Problem("docs/metrics.md has no metrics: UPDATE_GENERATED=1 cargo test -p server writes it")
    of_process = re.findall(r"`(process_\w+)`", page.partition("\n## ")[0])
    return metrics | {name: Metric("counter" if name.endswith("_total") else "gauge") for name in of_process}


def shown() -> dict[str, Metric]:
    """What a node shows at /metrics."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [starling(), "serve"],
            env={"PATH": "/usr/bin:/bin", "HOME": folder, **ALONE},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # Reading its output has no deadline of its own: killed, it has an end.
        late = threading.Timer(END, process.kill)
        late.start()
        try:
            address = next((line.split()[-1] for line in process.stdout if line.startswith("admin on ")), None)
            if address is None:
                raise Problem("`starling serve` ended instead of listening")
            with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        finally:
            late.cancel()
            process.terminate()
            try:
                process.wait(END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
    labels = {}
    for name, within in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        labels.setdefault(re.sub(r"_(bucket|sum|count)$", "", name), set()).update(re.findall(r'(\w+)="', within))
    types = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return {name: Metric(kind, frozenset(labels.get(name, ())) - {"le"}) for name, kind in types}


def compare(metrics: dict[str, Metric], seen: dict[str, Metric]) -> None:
    problems = [
        f"a node shows {name}, {there.kind}, with the labels {sorted(there.labels)}: the page says {metrics.get(name)}"
        for name, there in seen.items()
        if metrics.get(name) != there
    ]
    problems += [
        f"the page has {name}, and a node does not show it"
        for name, metric in metrics.items()
        if name not in seen and not metric.labels
    ]
    if problems or not seen:
        raise Problem("\n".join(problems) or "a node shows no metrics")


def series(metrics: dict[str, Metric]) -> Catalogue:
    """A histogram is three series."""
    found = {name: labels | TARGET for name, labels in (PROMETHEUS | KUBERNETES).items()}
    for name, metric in metrics.items():
        labels = metric.labels | TARGET
        if metric.kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


def recorded(rules: list[dict], catalogue: Catalogue) -> Catalogue:
    """The names that recording rules add, with the labels that they are grouped by."""
    return catalogue | {rule["record"]: frozenset(promql.names(rule["expr"]).groupings) for rule in rules if "record" in rule}


def judge(expression: str, catalogue: Catalogue, shown_labels: set[str] = frozenset()) -> list[str]:
    """What is wrong with the names in an expression, and with the labels that a legend or an annotation shows of it."""
    found, problems, labels = promql.names(expression), [], set()
    for selector in found.selectors:
        known = catalogue.get(selector.metric)
        if known is None:
            problems.append(f"no node exports {selector.metric or 'a metric without a name'}")
            continue
        labels |= known
        for label, sign, value in selector.matchers:
            if label not in known:
                problems.append(f"{selector.metric} has no label {label}")
            else:
                problems += [f"{label} is never {word!r}" for word in words(label, sign, value) if not exists(label, word)]
    problems += [f"nothing in it has the label {label}" for label in sorted((found.groupings | shown_labels) - labels - {"le"})]
    return problems if found.selectors else [*problems, "it names no metric"]


def words(label: str, sign: str, value: str) -> list[str]:
    """The values that a matcher spells out. Patterns, variables and what Prometheus itself sets are not judged."""
    if label in TARGET or label in PROMETHEUS["ALERTS"] or "$" in value:
        return []
    alternatives = value.split("|") if sign in ("=~", "!~") else [value]
    return [word for word in alternatives if not re.search(r"[.*+?\[(]", word) or sign in ("=", "!=")]


def exists(label: str, word: str) -> bool:
    """Whether the sources have the value: as a text, as a close code, as a route, or as an HTTP status; and k8s/ a Job."""
    if label == "job_name":
        return f"kind: Job\nmetadata:\n  name: {word}\n" in (ROOT / "k8s/base/migrate.yaml").read_text()
    if label == "condition":
        return word in ("true", "false", "unknown")
    if label == "status":
        return re.fullmatch(r"[1-5]\d\d", word) is not None
    if label == "route":
        return f'"{word}": {{' in (ROOT / "docs/openapi.json").read_text()
    return f'"{word}"' in sources() or f" = {word}," in sources()


@cache
def sources() -> str:
    """The Rust sources of what runs in a node."""
    crates = ("protocol", "bus", "chat", "gateway", "api", "server")
    return "\n".join(path.read_text() for crate in crates for path in sorted((ROOT / "crates" / crate / "src").rglob("*.rs")))
