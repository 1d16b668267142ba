"""deploy/grafana: the dashboards are what boards/ says, and every query is PromQL, names what nodes export, and shows
something of a made-up cluster in which all of it is there.
"""

import itertools
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

import promql
from exported import Catalogue, judge
from prometheus import rule_files, rules_in
from report import ROOT, Problem, Report, run

HERE = ROOT / "deploy/grafana"
# What Grafana puts in for its variables, here.
VARIABLES = {"$__rate_interval": "5m", "$job": "starling", "$instance": "node-1"}
COLUMNS = 24


def check(report: Report, catalogue: Catalogue) -> None:
    with report.check("deploy/grafana/dashboards are current"):
        run(sys.executable, HERE / "generate.py", "--check")
    boards = {path.name: json.loads(path.read_text()) for path in sorted((HERE / "dashboards").glob("*.json"))}
    queries = {}
    for name, board in boards.items():
        with report.check(f"deploy/grafana/dashboards/{name}: panels are laid out, and name what nodes export"):
            queries |= {(name, *key): query for key, query in check_board(board, catalogue).items()}
    with report.check("deploy/grafana: boards have names and ids of their own, and are provisioned"):
        check_provisioning(boards)
    if shutil.which("promtool"):
        with report.check("deploy/grafana: every query shows something of a cluster in which all is there"):
            check_shows(queries, catalogue)
    else:
        report.skip("the dashboards' queries by promtool, because there is none")


def check_board(board: dict, catalogue: Catalogue) -> dict[tuple[str, str], str]:
    """Its queries, by panel and letter."""
    queries, problems, taken = {}, [], set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        squares = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if squares & taken or max(x for x, _ in squares) >= COLUMNS:
            problems.append(f"{panel['title']}: lies on another panel or beside the board")
        taken |= squares
        if panel["type"] == "row":
            continue
        if not panel["title"] or not panel["description"] or not panel["targets"]:
            problems.append(f"{panel['title']}: has no title, no description or no query")
        for target in panel["targets"]:
            queries[panel["title"], target["refId"]] = target["expr"]
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            problems += [f"{panel['title']}: {problem}" for problem in judge(plain(target["expr"]), catalogue, legend)]
    problems += [f"{problem}" for expression in beside(board) for problem in judge(plain(expression), catalogue)]
    if len({panel["id"] for panel in board["panels"]}) != len(board["panels"]):
        problems.append("two panels have the same id")
    if len(queries) != sum(len(panel.get("targets", [])) for panel in board["panels"]):
        problems.append("two panels have the same title")
    if problems or not queries:
        raise Problem("\n".join(problems) or "there are no panels")
    return queries


def beside(board: dict) -> Iterator[str]:
    """What is asked of Prometheus outside of panels: `label_values(metric, label)` of variables, and annotations."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            yield f"count by ({label}) ({metric})"
    yield from (annotation["expr"] for annotation in board["annotations"]["list"])


def plain(expression: str) -> str:
    """With values in the place of Grafana's variables."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    if "$" in expression:
        raise Problem(f"a variable that no board has: {expression}")
    return expression


def check_provisioning(boards: dict[str, dict]) -> None:
    for key in ("uid", "title"):
        if len({board[key] for board in boards.values()}) != len(boards) or not boards:
            raise Problem(f"two boards have the same {key}, or there are none")
    (source,) = yaml.safe_load((HERE / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((HERE / "provisioning/dashboards/starling.yml").read_text())["providers"]
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    if source["type"] != "prometheus" or not source["isDefault"] or source["jsonData"]["timeInterval"] != scrape:
        raise Problem("the data source is not the default one, or its interval is not Prometheus' own")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounted = [volume for service in services.values() for volume in service.get("volumes", [])]
    if f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" not in mounted:
        raise Problem("docker-compose.yml does not mount the dashboards where the provider looks")


def check_shows(queries: dict[tuple[str, ...], str], catalogue: Catalogue) -> None:
    """`absent(query)` has a sample when the query has none; promtool tells so of each, and of those that fail."""
    shown = [plain(expression) for expression in queries.values()]
    recording = {path: [rule["expr"] for rule in rules_in(path) if "record" in rule] for path in rule_files()}
    series = made_up([*shown, *itertools.chain(*recording.values())], catalogue)
    tests = [{"expr": f"absent({text})", "eval_time": "30m", "exp_samples": []} for text in shown]
    world = {
        "rule_files": [str(path) for path, expressions in recording.items() if expressions],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "world.yml"
        file.write_text(json.dumps(world))
        run("promtool", "test", "rules", file)


def made_up(expressions: list[str], catalogue: Catalogue) -> list[dict]:
    """A node with a series of each metric, for every value of a label that some query asks for."""
    values = {}
    for selector in (selector for text in expressions for selector in promql.names(text).selectors):
        for label, sign, value in selector.matchers:
            if sign in ("=", "=~"):
                values.setdefault((selector.metric, label), set()).update(value.replace(".*", "").split("|"))
    series = []
    for metric, labels in catalogue.items():
        if ":" in metric:
            continue
        sets = [{}]
        for label in sorted(labels):
            known = {"job": {"starling"}, "instance": {"node-1"}, "le": {"0.1", "1", "+Inf"}}.get(label)
            known = known or values.get((metric, label)) or {"some"}
            sets = [one | {label: value} for one in sets for value in sorted(known)]
        grows = re.search(r"_(total|bucket|sum|count)$", metric)
        # The buckets of a histogram hold more the wider they are.
        steps = {"0.1": 3, "1": 5, "+Inf": 6}
        for one in sets:
            inside = ", ".join(f'{label}="{value}"' for label, value in one.items())
            step = steps.get(one.get("le"), 6) if grows else 0
            series.append({"series": f"{metric}{{{inside}}}", "values": f"1+{step}x40"})
    return series
