"""A plan as Markdown, and the plans of docs/scaling.md between their markers."""

import math
import re
import textwrap
from pathlib import Path

from constants import ROOT, Constant, Wrong
from plan import GIB, MIB, Load, Plan, compute

PAGE = ROOT / "docs" / "scaling.md"
SHOWN = (10_000, 100_000, 1_000_000)
# What the page says of other gateways than those of the file.
LARGER = {"gateway_connections": 60_000, "gateway_cores": 8}
OTHERS = re.compile(r"(^<!-- larger gateways (\d+) -->\n)(.*?)(?=^<!-- end of capacity -->$)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"(^<!-- capacity (\d+) -->\n)(.*?)(?=^<!-- end of capacity -->$)", re.DOTALL | re.MULTILINE)


def markdown(load: Load, constants: dict[str, Constant]) -> str:
    """The plan as two tables and a line about its limit."""
    plan = compute(load, constants)
    said = (
        f"{count(load.connections)} connections, {load.conversations:g} conversations each, a message of each every "
        f"{span(load.rate)}, {load.members:g} connected members a conversation, headroom {load.headroom:g}:"
    )
    rows = [("", "how many", "each")] + machines(plan)
    load_rows = [("", "per second", "in a day")] + traffic(plan)
    back = f"When a gateway dies, its connections cost the others {plan.resume_seconds:.1f} s of CPU, all together."
    return "\n".join([said, "", *table(rows), "", *table(load_rows), "", back, "", f"The limit: {plan.limit}.", ""])


def larger(load: Load, constants: dict[str, Constant]) -> str:
    """What fewer and larger gateways change."""
    changed = {key: Constant(value, constants[key].what) for key, value in LARGER.items()}
    before, after = compute(load, constants), compute(load, constants | changed)
    return textwrap.fill(
        f"With {count(LARGER['gateway_connections'])} connections and {LARGER['gateway_cores']} cores each in the file "
        f"there are {after.gateways} gateways and not {before.gateways}. "
        f"PostgreSQL is busy with {cores(after.postgres_cores)} cores instead of {cores(before.postgres_cores)} and Redis with {cores(after.redis_cores)} instead of "
        f"{cores(before.redis_cores)}, since fewer nodes commit; and PostgreSQL needs {count(after.postgres_max_connections)} "
        f"connections at least instead of {count(before.postgres_max_connections)}.",
        128,
    )


def machines(plan: Plan) -> list[tuple[str, str, str]]:
    gateway = (
        f"up to {count(plan.gateway_connections)} connections, with one of them down: "
        f"{size(plan.gateway_memory)} of memory, {count(plan.gateway_files)} file descriptors"
    )
    postgres = f"{cores(plan.postgres_cores)} cores busy, {plan.postgres_connections} connections"
    least = f"if messages shared transactions and writes, and nobody sent markers: {cores(plan.busy_cores)}"
    return [
        (f"gateways (so many for their {plan.gateways_by})", str(plan.gateways), gateway),
        ("cores of all gateways, busy", cores(plan.gateways_cores), least),
        ("api nodes", str(plan.apis), f"together {cores(plan.apis_cores)} cores busy"),
        ("Redis", redis(plan), f"{cores(plan.redis_cores)} cores busy, {size(plan.redis_bytes)} per second to nodes"),
        ("PostgreSQL", "1 that writes", postgres),
        ("its `max_connections`, at least", count(plan.postgres_max_connections), "and some for people and backups"),
        ("load balancer", "", f"{count(2 * plan.gateway_connections * (plan.gateways - 1))} file descriptors in all"),
    ]


def redis(plan: Plan) -> str:
    return "1" if plan.redis_servers == 1 else f"Cluster of {max(3, plan.redis_servers)} masters"


def traffic(plan: Plan) -> list[tuple[str, str, str]]:
    return [
        ("messages", count(plan.messages), f"{count(plan.rows_day)} rows, {size(plan.bytes_day)} stored"),
        ("deliveries of messages", count(plan.deliveries), ""),
        ("markers (delivered, read)", count(plan.markers), ""),
        ("commits: of messages, of markers", both(plan.transactions, plan.marker_writes), f"{size(plan.wal_day)} of WAL"),
        ("Redis: published, sent to nodes", both(plan.redis_publishes, plan.redis_copies), ""),
    ]


def both(one: float, other: float) -> str:
    return f"{count(one)}, {count(other)}"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [line.replace("|  |", "| |") for line in (head, "|---" * len(rows[0]) + "|", *body)]


def count(number: float) -> str:
    """`1,234,567`, to three digits; small ones with what is behind the point."""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    if number >= 1000:
        return f"{round(number, 2 - math.floor(math.log10(number))):,.0f}" if number >= 100_000 else f"{number:,.0f}"
    return f"{number:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{number:.0f}"


def cores(number: float) -> str:
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def size(number: float) -> str:
    for unit, bytes_of in (("TiB", GIB * 1024), ("GiB", GIB), ("MiB", MIB)):
        if number >= bytes_of:
            return f"{number / bytes_of:.1f} {unit}"
    return f"{number / 1024:.0f} KiB"


def span(rate: float) -> str:
    return f"{count(1 / rate)} s" if rate else "never"


def filled(text: str, constants: dict[str, Constant]) -> str:
    """The page with the plans of this file's constants in it."""
    found = [int(connections) for _, connections, _ in BLOCK.findall(text)]
    if found != list(SHOWN):
        raise Wrong(f"docs/scaling.md has plans for {found} and should for {list(SHOWN)}, between its markers")
    if [int(connections) for _, connections, _ in OTHERS.findall(text)] != [SHOWN[-1]]:
        raise Wrong(f"docs/scaling.md should say once what larger gateways do at {SHOWN[-1]}, between its markers")
    text = OTHERS.sub(lambda match: f"{match[1]}\n{larger(Load(int(match[2])), constants)}\n\n", text)
    return BLOCK.sub(lambda match: f"{match[1]}\n{markdown(Load(int(match[2])), constants)}\n", text)


def read(path: Path = PAGE) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None
