"""From what is to be carried to what carries it. Pure: constants and a load come in, a plan comes out.

What each line means, and what none of them knows, is in docs/scaling.md, "The formulas".
"""

import math
from dataclasses import dataclass

from constants import Constant, Wrong

MIB, GIB = 1 << 20, 1 << 30
# The writer takes the next lane when so many wait (ADR 14); markers are told to conversations of up to this many.
LANE, TOLD = 64, 100


@dataclass(frozen=True)
class Load:
    """What is to be carried, at the peak; a connection counts as a user."""

    connections: int
    conversations: float = 20
    rate: float = 0.01
    members: float = 10
    headroom: float = 2.0


# name, least, most, what it is
BOUNDS = (
    ("connections", 1, 100_000_000, "a whole number"),
    ("conversations", 1, 10_000, "a number"),
    ("rate", 0, 20, "messages per second of one user, a number"),
    ("members", 1, 1_000_000, "a number"),
    ("headroom", 1, 10, "a number"),
)


def checked(load: Load) -> Load:
    """The load, if it is one."""
    for name, least, most, what in BOUNDS:
        value = getattr(load, name)
        if not least <= value <= most:
            raise Wrong(f"{name} is {value:g}: it must be {what} from {least} to {most}")
    if load.members > load.connections:
        raise Wrong(f"members is {load.members:g}: it counts those who are connected, {load.connections} at most")
    return load


@dataclass(frozen=True)
class Plan:
    """What it takes. Cores are busy ones, before headroom; `gateway_*` is of one, `*_cores` of all."""

    messages: float
    deliveries: float
    markers: float
    gateways: int
    gateways_by: str
    gateway_connections: int
    gateway_memory: float
    gateway_files: int
    gateways_cores: float
    busy_cores: float
    apis: int
    apis_cores: float
    redis_publishes: float
    redis_copies: float
    redis_bytes: float
    redis_cores: float
    redis_servers: int
    transactions: float
    marker_writes: float
    postgres_cores: float
    postgres_connections: int
    postgres_max_connections: int
    rows_day: float
    bytes_day: float
    wal_day: float
    resume_seconds: float
    limit: str


def compute(load: Load, constants: dict[str, Constant]) -> Plan:
    return Model(checked(load), constants).plan()


class Model:
    """A load and the constants, and what follows from both."""

    def __init__(self, load: Load, constants: dict[str, Constant]):
        self.load, self.constants = load, constants
        self.messages = load.connections * load.rate
        # Each connected member but the sender answers a message with a marker, in conversations that have them.
        answers = (load.members - 1) * self["markers_per_delivery"]
        self.markers = self.messages * answers if load.members <= TOLD else 0

    def __getitem__(self, key: str) -> float:
        if key not in self.constants:
            raise Wrong(f"docs/capacity.toml: [{key}] is missing")
        return self.constants[key].value

    def busy_message_us(self) -> float:
        """CPU of a message at this many members: a line between the points, logarithmic on both axes."""
        points = []
        for key, found in self.constants.items():
            if found.members:
                each = found.members if key.startswith("busy_delivery_") else 1
                points.append((found.members, found.value * each))
        points.sort()
        if not points:
            raise Wrong("docs/capacity.toml: no constant has members")
        members, first, last = self.load.members, points[0], points[-1]
        if members <= first[0]:
            return first[1]
        if members >= last[0]:
            return last[1] * members / last[0]
        low = max(point for point in points if point[0] <= members)
        high = min(point for point in points if point[0] > members)
        share = math.log(members / low[0]) / math.log(high[0] / low[0])
        return low[1] * (high[1] / low[1]) ** share

    def copies(self, gateways: int) -> float:
        """Gateways that have one of the members, when these are spread at random."""
        return gateways * (1 - (1 - 1 / gateways) ** self.load.members)

    def copies_cores(self, gateways: int) -> float:
        """What it takes that more than one gateway hears of an event."""
        # Ten members on six nodes are five copies more than on one.
        copy = (self["delivery_six_nodes_us"] - self["delivery_one_node_us"]) * 10 / 5
        return (self.messages + self.markers) * (self.copies(gateways) - 1) * copy / 1e6

    def socket_bytes(self) -> float:
        more = self.load.conversations - self["idle_socket_conversations"]
        return self["idle_socket_bytes"] + self["conversation_bytes"] * more + self["kernel_socket_bytes"]

    def turns(self, rate: float, gateways: int) -> float:
        """Transactions per second, all gateways together: each takes what came while the one before was under way."""
        each = rate / gateways
        return gateways * min(each, max(1000 / self["commit_ms"], each / LANE))

    def gateways_cores(self, gateways: int) -> float:
        deliveries = (self.messages + self.markers) * self.load.members
        micros = (
            self.turns(self.messages, gateways) * self["transaction_us"]
            + self.turns(self.markers, gateways) * self["marker_write_us"]
            + self.messages * self["message_us"]
            + deliveries * self["delivery_us"]
        )
        return micros / 1e6 + self.copies_cores(gateways)

    def gateways(self) -> tuple[int, str]:
        """How many are needed while none is down, and what for."""
        load, count = self.load, 1
        while True:
            by = {
                "connections": load.connections / self["gateway_connections"],
                "memory": load.connections * self.socket_bytes() * load.headroom
                / (self["gateway_gib"] * GIB - self["process_mib"] * MIB),
                "CPU": self.gateways_cores(count) * load.headroom / self["gateway_cores"],
            }
            why = max(by, key=lambda name: by[name])
            if (needed := max(1, math.ceil(by[why]))) <= count:
                return count, why
            count = needed

    def reads_cores(self) -> float:
        """CPU of REST, PostgreSQL's part included."""
        opens = self.load.connections * self["opens_per_hour"] / 3600
        one = self["list_us"] + self["badges_us"] + self["pages_per_open"] * self["page_us"]
        return opens * (one + self["searches_per_open"] * self["search_us"]) / 1e6

    def postgres_cores(self, gateways: int) -> float:
        micros = (
            self.turns(self.messages, gateways) * self["postgres_transaction_us"]
            + self.turns(self.markers, gateways) * self["postgres_marker_write_us"]
            + self.messages * self["postgres_message_us"]
        )
        return micros / 1e6 + self.reads_cores()

    def redis_cores(self, gateways: int) -> float:
        batches = self.turns(self.messages, gateways) + self.turns(self.markers, gateways)
        publishes, copies = self.messages + self.markers, self.copies(gateways)
        micros = batches * (self["redis_batch_us"] + copies * self["redis_batch_copy_us"])
        return (micros + publishes * (self["redis_publish_us"] + copies * self["redis_copy_us"])) / 1e6

    def plan(self) -> Plan:
        load, (needed, why) = self.load, self.gateways()
        # One may be down; three, so that two share what it had.
        gateways = max(3, needed + 1)
        reads, copies = self.reads_cores(), self.copies(gateways)
        apis = max(2, math.ceil(reads * load.headroom / self["api_cores"]) + 1)
        at_most = math.ceil(load.connections / (gateways - 1))
        publishes = self.messages + self.markers
        redis, postgres = self.redis_cores(gateways), self.postgres_cores(gateways)
        seconds = self["busy_hours"] * 3600
        return Plan(
            messages=self.messages,
            deliveries=self.messages * load.members,
            markers=self.markers,
            gateways=gateways,
            gateways_by=why,
            gateway_connections=at_most,
            gateway_memory=self["process_mib"] * MIB + at_most * self.socket_bytes() * load.headroom,
            gateway_files=at_most + int(self["database_connections"] + self["spare_files"]),
            gateways_cores=self.gateways_cores(gateways),
            busy_cores=self.messages * self.busy_message_us() / 1e6,
            apis=apis,
            apis_cores=reads,
            redis_publishes=publishes,
            redis_copies=publishes * copies,
            redis_bytes=copies * (self.messages * self["event_bytes"] + self.markers * self["marker_event_bytes"]),
            redis_cores=redis,
            redis_servers=max(1, math.ceil(redis * load.headroom)),
            transactions=self.turns(self.messages, gateways),
            marker_writes=self.turns(self.markers, gateways),
            postgres_cores=postgres,
            postgres_connections=(gateways + apis) * int(self["database_connections"]),
            # When PostgreSQL comes back, a node has twice as many for a second, and 8 (docs/deploy.md).
            postgres_max_connections=(gateways + apis) * (2 * int(self["database_connections"]) + 8),
            rows_day=self.messages * seconds,
            bytes_day=self.messages * seconds * self["stored_message_bytes"],
            wal_day=seconds * (self.messages * self["wal_message_bytes"] + self.markers * self["wal_marker_bytes"]),
            resume_seconds=at_most * self["resume_us"] / 1e6,
            limit=self.limit(redis, postgres),
        )

    def limit(self, redis: float, postgres: float) -> str:
        """What is in the way first of what cannot simply be added to: one Redis, one PostgreSQL that writes."""
        shares = {
            "the one thread of Redis": redis * self.load.headroom,
            "PostgreSQL's CPU": postgres * self.load.headroom / self["postgres_cores"],
        }
        name = max(shares, key=lambda name: shares[name])
        if shares[name] > 1:
            return f"{name}: {shares[name]:.1f} times what one server is taken for"
        return f"{name}, at {shares[name]:.0%} of what one server is taken for"
