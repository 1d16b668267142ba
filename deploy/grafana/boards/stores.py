"""PostgreSQL and Redis, as Starling sees them. Their own exporters say why."""

from boards.common import events_late
from boards.panels import board as lay_out, graph, states
from boards.query import CLUSTER as C, Query


def board() -> dict:
    about = "PostgreSQL and Redis from the nodes' side: whether they answer, how fast, and what was not to be had."
    return lay_out("starling-stores", "Starling: PostgreSQL and Redis", about, {"PostgreSQL": postgres(), "Redis": redis()})


def postgres() -> list[dict]:
    unserved = C.rate("starling_commands_total", "instance", 'outcome=~"unavailable|timeout"')
    reads = C.rate("starling_arrival_reads_total", "read")
    return [
        states(
            "PostgreSQL answers, is migrated and takes writes",
            Query(C.of("starling_store_up"), "{{instance}}"),
            good=1,
            words=("no", "yes"),
            help="Asked whenever Prometheus or a probe asks.",
        ),
        graph(
            "Commands that were not served",
            Query(unserved, "{{instance}}"),
            unit="cps",
            width=12,
            help="unavailable and timeout: no connection was to be had, or an answer took too long.",
        ),
        graph(
            "Calls under way",
            Query(C.of("starling_store_calls"), "{{instance}}"),
            Query(f"max({C.of('starling_store_connections_max')})", "connections that a node may have"),
            help="Calls above the line wait for a connection, two seconds at most.",
        ),
        graph(
            "Connections by state",
            Query(C.total("starling_store_connections", "state"), "{{state}}"),
            stack=True,
            help="Of all nodes together: what PostgreSQL's max_connections must hold.",
        ),
        graph(
            "Time of a transaction of changes",
            *C.quantiles("starling_writer_commit_seconds"),
            unit="s",
            help="From begin to commit, failed ones included.",
        ),
        graph(
            "Transactions of changes per second",
            Query(C.rate("starling_writer_commit_seconds_count"), "tried"),
            Query(C.rate("starling_writer_retries_total"), "tried again"),
            unit="cps",
            help="Reads are not counted here.",
        ),
        graph(
            "Time of a call",
            *C.quantiles("starling_store_seconds"),
            unit="s",
            help="Over all kinds of calls, waiting for a connection and trying again included.",
        ),
        graph(
            "Slowest calls",
            Query(f"topk(8, {C.quantile(0.99, 'starling_store_seconds', 'call')})", "{{call}}"),
            unit="s",
            help="What one of 100 calls of a kind takes or more.",
        ),
        graph(
            "Calls by kind",
            Query(f"topk(8, {C.rate('starling_store_seconds_count', 'call')})", "{{call}}"),
            unit="cps",
            help="The most frequent ones.",
        ),
        graph(
            "Messages stored",
            Query(f"max({C.of('starling_messages_stored')})", "about"),
            help="As PostgreSQL estimates it; deleted ones count.",
        ),
        graph(
            "Reads for connections that begin",
            Query(reads, "{{read}}"),
            unit="cps",
            help="Statements. What connections ask at about the same time is read together.",
        ),
        graph(
            "Questions answered by one such read",
            Query(f"{C.rate('starling_arrival_questions_total', 'read')} / {reads}", "{{read}}"),
            help="The mean. It grows when many come back at once.",
        ),
    ]


def redis() -> list[dict]:
    return [
        states(
            "Redis answers and is subscribed",
            Query(C.of("starling_bus_up"), "{{instance}}"),
            good=1,
            words=("no", "yes"),
            help="Without it messages are stored and read from PostgreSQL every second.",
        ),
        states(
            "Events may be late",
            Query(C.of("starling_degraded"), "{{instance}}"),
            good=0,
            words=("no", "yes"),
            help="A gateway does not hear what it publishes to itself.",
        ),
        *events_late(C),
        graph(
            "Subscribed anew",
            Query(f"increase({C.of('starling_bus_connects_total')}[$__rate_interval])", "{{instance}}"),
            help="Times that the subscribing connection was made.",
        ),
        graph(
            "Topics subscribed",
            Query(C.of("starling_bus_subscriptions"), "{{instance}}"),
            help="Conversations, people and orgs that somebody on the node follows.",
        ),
        graph(
            "Events received",
            Query(C.rate("starling_bus_events_total", "kind"), "{{kind}}"),
            unit="cps",
            help="By all nodes. bad, unknown and other_epoch are not believed.",
        ),
        graph(
            "Events lost on either side",
            Query(C.rate("starling_publish_failures_total", "instance"), "not published by {{instance}}"),
            Query(C.rate("starling_bus_dropped_total", "instance"), "dropped by {{instance}}"),
            unit="cps",
            help="They are found by comparing with PostgreSQL.",
        ),
        graph(
            "Leases seen",
            Query(C.of("starling_nodes"), "{{instance}}"),
            help="Gateways that each gateway believes alive. All should see as many.",
        ),
    ]
