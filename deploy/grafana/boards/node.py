"""One node: what it is, who is on it, and how it keeps up."""

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
from boards.panels import board as lay_out, graph, heatmap, stat, states, variable
from boards.query import NODE as N, Query

INSTANCE = variable("instance", "Node", 'label_values(starling_build_info{job="$job"}, instance)')


def board() -> dict:
    rows = {"Now": now(), "Connections": connections(), "Asked of it": asked(), "Writes": writes(), "Delivers": delivers()}
    rows["Takes"] = [
        *resources(N, ""),
        graph("Threads", Query(N.of("process_threads")), help="Two per core and a few: more means blocking calls."),
    ]
    return lay_out("starling-node", "Starling: node", "One node. Panels of what its role does not do are empty.", rows, (INSTANCE,))


def now() -> list[dict]:
    up = [
        Query(N.of("starling_ready"), "takes traffic"),
        Query(N.of("starling_store_up"), "PostgreSQL"),
        Query(N.of("starling_bus_up"), "Redis"),
    ]
    return [
        stat(
            "Version",
            Query(N.of("starling_build_info"), "{{role}} {{version}}"),
            shows="name",
            help="Its role and version.",
        ),
        stat("Up for", Query(f"time() - {N.of('process_start_time_seconds')}"), "s", help="Since it was started."),
        stat("Connections", Query(N.of("starling_connections")), help="Open, authenticated connections."),
        stat("Leases seen", Query(N.of("starling_nodes")), help="Gateways that it believes alive, itself included."),
        states("Parts", *up, good=1, words=("no", "yes"), width=6, help="As /readyz says."),
        states(
            "Trouble",
            Query(N.of("starling_degraded"), "degraded"),
            Query(N.of("starling_draining"), "draining"),
            good=0,
            words=("no", "yes"),
            width=6,
            help="Degraded: events may be late. Draining: it ends.",
        ),
    ]


def connections() -> list[dict]:
    return [
        graph(
            "Connections, and those behind",
            Query(N.of("starling_connections"), "open"),
            Query(N.of("starling_connections_behind"), "with an outbox more than half full"),
            help="While it drains: how many are still to be moved.",
        ),
        graph(
            "Opened per second",
            Query(N.rate("starling_connections_opened_total"), "opened"),
            unit="cps",
            help="New connections and those that come back.",
        ),
        connections_closed(N),
        upgrades_refused(N),
        heatmap(
            "How long connections lived",
            Query(N.rate("starling_connection_seconds_bucket", "le"), "{{le}}"),
            help="Those that ended. Many of the same short life: a proxy cuts them.",
        ),
        graph(
            "Conversations",
            Query(N.of("starling_active_conversations"), "followed by some connection"),
            Query(N.of("starling_bus_subscriptions"), "topics subscribed in Redis"),
            Query(N.of("starling_presence_watched"), "people whose presence is watched"),
            help="What the node keeps up with.",
        ),
    ]


def asked() -> list[dict]:
    return [
        graph(
            "Commands by type",
            Query(N.rate("starling_commands_total", "command"), "{{command}}"),
            unit="cps",
            help="What its clients ask over sockets.",
        ),
        commands_not_ok(N),
        *commands_slow(N),
        *rest(N),
    ]


def writes() -> list[dict]:
    return [
        graph("Changes that wait", Query(N.of("starling_writer_queue"), "changes"), help="In all lanes, now."),
        graph(
            "Time of a transaction",
            *N.quantiles("starling_writer_commit_seconds"),
            unit="s",
            help="Failed ones included: an outage shows as five seconds.",
        ),
        graph(
            "Calls of PostgreSQL under way",
            Query(N.of("starling_store_calls"), "calls"),
            Query(N.of("starling_store_connections_max"), "connections that it may have"),
            help="Calls above the line wait for a connection.",
        ),
        graph(
            "PostgreSQL: slowest calls",
            Query(f"topk(8, {N.quantile(0.99, 'starling_store_seconds', 'call')})", "{{call}}"),
            unit="s",
            help="What one of 100 calls of a kind takes or more, waiting for a connection included.",
        ),
    ]


def delivers() -> list[dict]:
    return [
        graph(
            "Frames per second",
            Query(N.rate("starling_frames_sent_total"), "sent"),
            Query(N.rate("starling_frames_received_total"), "received"),
            unit="cps",
            help="Text frames over sockets.",
        ),
        sockets(N),
        graph(
            "Events from Redis by kind",
            Query(N.rate("starling_bus_events_total", "kind"), "{{kind}}"),
            unit="cps",
            help="bad, unknown and other_epoch are not believed: somebody else publishes there.",
        ),
        graph("Bytes that wait in outboxes", Query(N.of("starling_outbox_bytes"), "bytes"), unit="bytes", help="Of all connections."),
        graph(
            "The fullest outbox",
            Query(N.of("starling_outbox_fullest_ratio"), "share of STARLING_OUTBOX_BYTES"),
            unit="percentunit",
            help="Beyond 100 % its connection is closed with 4001.",
        ),
        *events_late(N),
    ]
