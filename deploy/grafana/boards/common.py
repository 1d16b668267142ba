"""Panels that are on several boards, for the cluster or for one node."""

from boards.panels import graph
from boards.query import SHARES, Query, Scope


def connections_closed(scope: Scope) -> dict:
    return graph(
        "Connections closed by code",
        Query(scope.rate("starling_connections_closed_total", "code"), "{{code}}"),
        unit="cps",
        help="client: it went by itself. 4000: the node was ending. 4001: too slow. 4002: silent. 4003: its token ended. "
        "docs/protocol.md has the others.",
    )


def upgrades_refused(scope: Scope) -> dict:
    return graph(
        "Connections refused by reason",
        Query(scope.rate("starling_upgrades_refused_total", "reason"), "{{reason}}"),
        unit="cps",
        help="A number is the code that the socket was closed with. 4503: an origin that is not allowed. 4500: no valid token.",
    )


def commands_not_ok(scope: Scope) -> dict:
    return graph(
        "Commands that were refused or failed",
        Query(scope.rate("starling_commands_total", "outcome", 'outcome!="ok"'), "{{outcome}}"),
        unit="cps",
        help="By error code: docs/errors.md. internal, unavailable, timeout and overloaded are ours; others are the clients'.",
    )


def commands_slow(scope: Scope) -> list[dict]:
    return [
        graph(
            "Commands: time to the reply",
            *scope.quantiles("starling_command_seconds"),
            unit="s",
            help="Over all commands, from their turn to the reply, which then waits for the socket.",
        ),
        graph(
            "Commands: slowest types",
            Query(f"topk(8, {scope.quantile(0.99, 'starling_command_seconds', 'command')})", "{{command}}"),
            unit="s",
            help="What one of 100 commands of a type takes or more.",
        ),
    ]


def rest(scope: Scope) -> list[dict]:
    return [
        graph(
            "REST by status",
            Query(scope.rate("starling_http_requests_total", "status"), "{{status}}"),
            unit="reqps",
            help="503 is overload or an outage, 500 a defect.",
        ),
        graph(
            "REST: time to the answer",
            *scope.quantiles("starling_http_request_seconds"),
            unit="s",
            help="Over all routes.",
        ),
        graph(
            "REST: slowest routes",
            Query(f"topk(8, {scope.quantile(0.99, 'starling_http_request_seconds', 'route')})", "{{route}}"),
            unit="s",
            help="What one of 100 requests of a route takes or more.",
        ),
    ]


def sockets(scope: Scope) -> dict:
    return graph(
        "Bytes over sockets",
        Query(scope.rate("starling_frames_sent_bytes_total"), "sent"),
        Query(scope.rate("starling_frames_received_bytes_total"), "received"),
        unit="Bps",
        help="Text of frames, without their heads, TLS and TCP.",
    )


def events_late(scope: Scope) -> list[dict]:
    return [
        graph(
            "Time through Redis",
            *(Query(scope.quantile(share, "starling_bus_lag_seconds"), name) for share, name in SHARES),
            unit="s",
            help="From publishing to hearing: each gateway asks itself every three seconds.",
        ),
        graph(
            "Events that had to be fetched",
            Query(scope.rate("starling_gap_fills_total"), "holes filled"),
            Query(scope.rate("starling_sweep_finds_total"), "ends found by comparing"),
            unit="cps",
            help="What Redis did not bring is read from PostgreSQL. A few are normal.",
        ),
    ]


def resources(scope: Scope, legend: str) -> list[dict]:
    return [
        graph(
            "CPU",
            Query(f"rate({scope.of('process_cpu_seconds_total')}[$__rate_interval])", legend),
            help="Cores in use.",
        ),
        graph("Memory", Query(scope.of("process_resident_memory_bytes"), legend), unit="bytes", help="Resident."),
        graph(
            "File descriptors in use",
            Query(f"{scope.of('process_open_fds')} / {scope.of('process_max_fds')}", legend),
            unit="percentunit",
            help="Of those that it may have. Each connection takes one.",
        ),
    ]
