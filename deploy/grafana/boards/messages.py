"""A message's way: taken, waiting, committed, published, delivered."""

from boards.common import events_late
from boards.panels import board as lay_out, graph, heatmap
from boards.query import CLUSTER as C, Query


def board() -> dict:
    rows = {
        "1. Taken": [*taken(), *sizes()],
        "2. Waiting for a transaction": waiting(),
        "3. Committed": committed(),
        "4. Published": published(),
        "5. Delivered": delivered(),
        "Read and delivered markers": markers(),
    }
    about = "The way of a message from the sender's socket to the others', step by step (docs/ARCHITECTURE.md)."
    return lay_out("starling-messages", "Starling: a message's way", about, rows)


def taken() -> list[dict]:
    return [
        graph(
            "Sent over sockets",
            Query(C.rate("starling_commands_total", "outcome", 'command="message.send"'), "{{outcome}}"),
            unit="cps",
            help="By outcome: ok, or an error code of docs/errors.md.",
        ),
        graph(
            "Sent over REST",
            Query(
                C.rate("starling_http_requests_total", "status", 'method="POST", route="/v1/conversations/{id}/messages"'),
                "{{status}}",
            ),
            unit="cps",
            help="By status.",
        ),
        graph(
            "Changes refused or failed",
            Query(C.rate("starling_writer_refused_total", "code"), "{{code}}"),
            unit="cps",
            help="By error code. overloaded: more comes than can be written.",
        ),
    ]


def sizes() -> list[dict]:
    return [
        graph(
            "Participants of the conversation",
            *C.quantiles("starling_message_participants"),
            help="Of each message that people send: how far it has to go, whoever is connected.",
        ),
    ]


def waiting() -> list[dict]:
    return [
        graph(
            "Changes that wait",
            Query(C.of("starling_writer_queue"), "{{instance}}"),
            help="In all lanes of a node. Each holds STARLING_WRITER_QUEUE.",
        ),
        graph(
            "Time until the transaction begins",
            *C.quantiles("starling_writer_wait_seconds"),
            unit="s",
            help="Of changes that were written. Above a quarter of a second on end, changes are refused.",
        ),
        graph(
            "Congested lanes",
            Query(C.of("starling_writer_congested"), "{{instance}}"),
            help="Lanes to which more comes than they can write: who would only wait is refused.",
        ),
    ]


def committed() -> list[dict]:
    return [
        graph(
            "Time of a transaction",
            *C.quantiles("starling_writer_commit_seconds"),
            unit="s",
            help="Failed ones included: an outage shows as five seconds.",
        ),
        heatmap(
            "Transactions by time",
            Query(C.rate("starling_writer_commit_seconds_bucket", "le"), "{{le}}"),
            help="How many took how long.",
        ),
        graph(
            "Changes in a transaction",
            Query(C.mean("starling_writer_batch_size", "instance"), "{{instance}}"),
            help="The mean. It grows with the load: that is what keeps up with it.",
        ),
        graph(
            "Transactions per second",
            Query(C.rate("starling_writer_commit_seconds_count", "instance"), "{{instance}}"),
            unit="cps",
            help="Tried ones.",
        ),
        graph(
            "Transactions tried again",
            Query(C.rate("starling_writer_retries_total", "instance"), "{{instance}}"),
            unit="cps",
            help="PostgreSQL was out of reach, or did not say how it ended.",
        ),
        graph(
            "Changes by kind",
            Query(C.rate("starling_changes_total", "kind"), "{{kind}}"),
            unit="cps",
            stack=True,
            help="Committed.",
        ),
    ]


def published() -> list[dict]:
    heard = C.rate("starling_bus_events_total", where='kind="conversation"')
    return [
        graph(
            "Events not published",
            Query(C.rate("starling_publish_failures_total", "instance"), "{{instance}}"),
            unit="cps",
            help="Other nodes find them by comparing with PostgreSQL.",
        ),
        graph(
            "Events from Redis for each change",
            Query(f"{heard} / {C.rate('starling_changes_total')}", "events"),
            help="As many as nodes have somebody who follows the conversation.",
        ),
        *events_late(C),
        graph(
            "Events dropped or not ours",
            Query(C.rate("starling_bus_dropped_total", "instance"), "dropped by {{instance}}"),
            Query(C.rate("starling_bus_foreign_total"), "not ours"),
            Query(C.rate("starling_bus_events_total", "kind", 'kind=~"bad|unknown|other_epoch"'), "{{kind}}"),
            unit="cps",
            help="Dropped: the node was too slow to take them, and reads them from PostgreSQL.",
        ),
    ]


def delivered() -> list[dict]:
    sent = C.rate("starling_frames_sent_total")
    return [
        graph(
            "Frames sent",
            Query(C.rate("starling_frames_sent_total", "instance"), "{{instance}}"),
            unit="cps",
            stack=True,
            help="Replies and events, into sockets.",
        ),
        graph(
            "Frames for each message",
            Query(f"{sent} / {C.rate('starling_messages_total')}", "frames"),
            help="How far a message fans out, with typing, presence and receipts.",
        ),
        graph(
            "Bytes that wait in outboxes",
            Query(C.of("starling_outbox_bytes"), "{{instance}}"),
            unit="bytes",
            stack=True,
            help="Not yet taken by the sockets.",
        ),
        graph(
            "Connections behind",
            Query(C.of("starling_connections_behind"), "{{instance}}"),
            help="Their outbox is more than half full.",
        ),
        graph(
            "Slow readers",
            Query(C.rate("starling_connections_closed_total", where='code="4001"'), "connections closed"),
            Query(C.rate("starling_outbox_ephemeral_dropped_total"), "ephemeral events left out"),
            unit="cps",
            help="Typing, presence and receipts are left out first (counted when the connection ends); then it is closed.",
        ),
        graph(
            "Changes missed by those who resume",
            Query(C.quantile(0.5, "starling_resume_distance"), "half up to"),
            Query(C.quantile(0.99, "starling_resume_distance"), "99 % up to"),
            help="In all their conversations together.",
        ),
    ]


def markers() -> list[dict]:
    return [
        graph(
            "Markers: asked, written",
            Query(C.rate("starling_receipts_asked_total"), "asked to move"),
            Query(C.rate("starling_receipt_rows_total"), "written"),
            Query(C.rate("starling_receipt_writes_total"), "calls that wrote them"),
            unit="cps",
            help="What is asked at about the same time is written together.",
        ),
        graph(
            "Markers refused",
            Query(C.rate("starling_receipts_refused_total", "code"), "{{code}}"),
            unit="cps",
            help="By error code.",
        ),
        graph(
            "Presence",
            Query(C.rate("starling_presence_changes_total", "outcome"), "changes told: {{outcome}}"),
            Query(C.rate("starling_presence_events_total"), "events put into outboxes"),
            unit="cps",
            help="failed ones are told again.",
        ),
    ]
