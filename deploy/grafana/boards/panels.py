"""Words for Grafana: panels, rows of them, and the board around. Everything that is the same in all panels is here."""

from boards.query import Query

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Grafana's grid is 24 columns wide.
COLUMNS = 24
GREEN, YELLOW, RED = "green", "yellow", "red"


def graph(title: str, *queries: Query, unit: str = "short", help: str, stack: bool = False, width: int = 8) -> dict:
    """Lines over time."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, help, queries, {"unit": unit, "min": 0, "custom": custom}, options, width, 8)


def stat(
    title: str, query: Query, unit: str = "short", *, help: str, bad_from: float | None = None, shows: str = "value"
) -> dict:
    """One number, red from `bad_from` on; or the query's legend, where it shows the `name`."""
    steps = [{"color": GREEN, "value": None}]
    if bad_from is not None:
        steps.append({"color": RED, "value": bad_from})
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}}
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "textMode": shows,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("stat", title, help, [query], defaults, options, 3, 4)


def states(title: str, *queries: Query, help: str, good: int, words: tuple[str, str], width: int = 12) -> dict:
    """Bars of what is 0 or 1: `words` say what 0 and 1 are, `good` is the one that is green."""
    mappings = {
        str(value): {"text": words[value], "color": GREEN if value == good else RED, "index": value} for value in (0, 1)
    }
    defaults = {
        "mappings": [{"type": "value", "options": mappings}],
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": GREEN, "value": None}]},
        "custom": {"fillOpacity": 70, "lineWidth": 0},
    }
    options = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single"},
    }
    return _panel("state-timeline", title, help, queries, defaults, options, width, 8)


def heatmap(title: str, query: Query, unit: str = "s", *, help: str, width: int = 8) -> dict:
    """How a histogram's buckets fill over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "steps": 64},
        "yAxis": {"unit": unit},
        "tooltip": {"mode": "single"},
    }
    panel = _panel("heatmap", title, help, [query], {}, options, width, 8)
    panel["targets"][0]["format"] = "heatmap"
    return panel


def table(title: str, columns: dict[str, Query], *, help: str, sort_by: str) -> dict:
    """Labels and values side by side, a line for each set of labels; `columns` are the values' headings and queries.
    A value without a heading is left out: its labels are what it is there for."""
    panel = _panel("table", title, help, list(columns.values()), {}, {"showHeader": True}, COLUMNS, 8)
    headings, left_out = {}, {"Time": True}
    for target, heading in zip(panel["targets"], columns):
        target.update(format="table", instant=True, range=False)
        value = f"Value #{target['refId']}" if len(columns) > 1 else "Value"
        if heading:
            headings[value] = heading
        else:
            left_out[value] = True
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": left_out, "renameByName": headings}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": sort_by}]}},
    ]
    return panel


def board(uid: str, title: str, about: str, rows: dict[str, list[dict]], variables: tuple[dict, ...] = ()) -> dict:
    """Lays the rows' panels out from left to right, and numbers them."""
    panels, y = [], 0
    for heading, row in rows.items():
        panels.append({"type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": _place(COLUMNS, 1, 0, y)})
        x, y = 0, y + 1
        height = 0
        for panel in row:
            width = panel["gridPos"]["w"]
            if x + width > COLUMNS:
                x, y, height = 0, y + height, 0
            panel["gridPos"] |= {"x": x, "y": y}
            x, height = x + width, max(height, panel["gridPos"]["h"])
            panels.append(panel)
        y += height
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["starling"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "links": [
            {
                "type": "dashboards",
                "title": "Starling",
                "tags": ["starling"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": [RESTARTS]},
        "templating": {"list": [PROMETHEUS, JOB, *variables]},
        "panels": panels,
    }


def variable(name: str, label: str, query: str) -> dict:
    """A choice at the top of the board."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
    }


PROMETHEUS = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}
JOB = variable("job", "Cluster", "label_values(starling_build_info, job)")
RESTARTS = {
    "name": "Starts of nodes",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "blue",
    "expr": 'changes(process_start_time_seconds{job="$job"}[1m]) > 0',
    "titleFormat": "{{instance}} was started",
}


def _panel(kind: str, title: str, help: str, queries, defaults: dict, options: dict, width: int, height: int) -> dict:
    targets = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query.expression, "legendFormat": query.legend}
        | {"editorMode": "code", "range": True}
        for place, query in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": help,
        "datasource": SOURCE,
        "gridPos": _place(width, height, 0, 0),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _place(width: int, height: int, x: int, y: int) -> dict:
    return {"w": width, "h": height, "x": x, "y": y}
