"""The worlds that blocks may name."""

from checkout import Checkout
from embedded import Embedded
from operators import Operators
from servers import Servers
from world import World

WORLDS: dict[str, type[World]] = {
    # Nothing but a copy of the repository and the binary.
    "anywhere": Checkout,
    # `starling serve` alone; the page's own, where it starts one.
    "embedded": Embedded,
    # The same folder, after that server was killed. It is started again behind the block.
    "stopped": Embedded,
    # What `make cluster` starts, with Ann and Ben in a group.
    "cluster": Operators,
    # That cluster, and a new PostgreSQL server where the page's commands find one.
    "postgres": Servers,
}

__all__ = ["WORLDS", "World"]
