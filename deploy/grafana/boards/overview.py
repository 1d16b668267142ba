"""The whole cluster on a page: is it well, who is there, what do they do, what does it take."""

from boards.common import (
    commands_not_ok,
    commands_slow,
    connections_closed,
    events_late,
    resources,
    rest,
    sockets,
    upgrades_refused,
)
from boards.panels import board as lay_out, graph, stat, table
from boards.query import CLUSTER as C, Query


def board() -> dict:
    rows = {"Now": now(), "People": people(), "Traffic": traffic(), "Delivery": delivery(), "Nodes": nodes()}
    return lay_out("starling-cluster", "Starling: cluster", "All nodes of a cluster together.", rows)


def now() -> list[dict]:
    firing = 'count(ALERTS{alertname=~"Starling.*", alertstate="firing"}) or vector(0)'
    missing = f"count({C.of('up')}) - (sum({C.of('starling_ready')}) or vector(0))"
    return [
        stat("Alerts", Query(firing), bad_from=1, help="Alerts of Starling's that fire now, of all clusters."),
        stat("Nodes ready", Query(C.total("starling_ready")), help="Nodes that take traffic."),
        stat("Nodes missing", Query(missing), bad_from=1, help="Nodes that do not answer, drain, or lack PostgreSQL."),
        stat("Connections", Query(C.total("starling_connections")), help="Open, authenticated connections."),
        stat("Messages", Query(C.of("job:starling_messages:rate5m")), "cps", help="Messages that people send, per second."),
        stat(
            "Commands that fail",
            Query(C.of("job:starling_commands_failed:ratio_rate5m")),
            "percentunit",
            bad_from=0.05,
            help="Share of what clients ask over sockets that failed here.",
        ),
        stat(
            "REST that fails",
            Query(C.of("job:starling_http_failed:ratio_rate5m")),
            "percentunit",
            bad_from=0.05,
            help="Share of REST requests that were answered with a 5xx status.",
        ),
        stat(
            "Slow commits",
            Query(C.of("job:starling_writer_commit_seconds:p99_rate5m")),
            "s",
            bad_from=0.5,
            help="What one of 100 transactions takes or more. A sender waits for one.",
        ),
    ]


def people() -> list[dict]:
    return [
        graph(
            "Connections by node",
            Query(C.of("starling_connections"), "{{instance}}"),
            stack=True,
            help="The load balancer spreads new connections; old ones stay where they are.",
        ),
        graph(
            "Connections opened per second",
            Query(C.rate("starling_connections_opened_total", "instance"), "{{instance}}"),
            unit="cps",
            help="A peak is a node that ended, or a network that was away: everybody comes back.",
        ),
        connections_closed(C),
        upgrades_refused(C),
        graph(
            "Resumes by outcome",
            Query(C.rate("starling_resumes_total", "outcome"), "{{outcome}}"),
            unit="cps",
            help="replayed: the client got what it had missed. resync: it was too far behind and fetches anew.",
        ),
        graph(
            "Conversations that are followed",
            Query(C.of("starling_active_conversations"), "{{instance}}"),
            help="Conversations that some connection of a node follows. One on two nodes counts twice.",
        ),
    ]


def traffic() -> list[dict]:
    return [
        graph(
            "Messages sent",
            Query(C.rate("starling_messages_total", "instance"), "{{instance}}"),
            unit="cps",
            stack=True,
            help="By the node that took them.",
        ),
        graph(
            "Commands by type",
            Query(C.rate("starling_commands_total", "command"), "{{command}}"),
            unit="cps",
            help="What clients ask over sockets. none: no command at all.",
        ),
        commands_not_ok(C),
        *commands_slow(C),
        *rest(C),
    ]


def delivery() -> list[dict]:
    return [sockets(C), *events_late(C)]


def nodes() -> list[dict]:
    def each(metric: str) -> Query:
        # Aggregated, so that the metric's name is no column: rows are joined by the labels that are left.
        return Query(f"max by (instance) ({C.of(metric)})")

    columns = {
        "": Query(f"max by (instance, role, version) ({C.of('starling_build_info')})"),
        "ready": each("starling_ready"),
        "PostgreSQL": each("starling_store_up"),
        "Redis": each("starling_bus_up"),
        "connections": each("starling_connections"),
        "leases seen": each("starling_nodes"),
        "seconds since its start": Query(f"time() - max by (instance) ({C.of('process_start_time_seconds')})"),
    }
    firing = 'max by (alertname, severity, job, instance) (ALERTS{alertname=~"Starling.*", alertstate="firing"})'
    return [
        table("Nodes", columns, sort_by="instance", help="1 is yes. Leases: gateways that this one believes alive."),
        table(
            "Alerts that fire", {"": Query(firing)}, sort_by="alertname", help="docs/troubleshooting.md says what each means."
        ),
        *resources(C, "{{instance}}"),
    ]
