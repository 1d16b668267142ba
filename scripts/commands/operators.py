"""The world `cluster`: what `make cluster` starts, with two gateways, and Ann and Ben in a group.

Both are connected before each block, as their clients would be. Ann was sent a message and has reported it.
"""

import socket
import time
from pathlib import Path

from cluster import Cluster
from failure import Failure
from pages import Block
from people import OPENER, PATIENCE, Chat, Device, call
from world import World


class Operators(World):
    def start(self) -> None:
        self.cluster = self.ends.enter_context(Cluster(self.root, self.binary, gateways=2))
        chat = Chat(self.cluster.env["URL"])
        self.devices: list[Device] = []
        for person in (chat.ann, chat.ben):
            device = chat.device(person)
            self.devices.append(device.here())
            self.ends.callback(device.leave)
        self.spread()
        message = chat.say("I am here")
        for device in self.devices:
            device.hears(type="message.created", seq=message["seq"])
        call(chat.url, "POST", "reports", chat.ann["access_token"], {"message_id": message["id"], "reason": "spam"})
        self.table = {
            "${TMPDIR:-/tmp}/starling-cluster.*/env": self.cluster.file,
            "$PWD/target/debug": str(self.binary.parent),
            # The page is read in the repository, and here there is a folder of its own.
            "scripts/cluster ": f"{self.root}/scripts/cluster ",
            "127.0.0.1:8080": self.cluster.env["URL"].removeprefix("http://"),
            # Where the page shows which machine it was.
            "laptop": socket.gethostname(),
            # docs/admin.md: the group, and Ben's message in it.
            "01a20640-39ac-721a-9a01-1a97d355a198": chat.room,
            "01a20640-3de3-72da-803e-6eb51f67d0da": message["id"],
        }

    def spread(self) -> None:
        """One on each gateway, as the pages show it: nginx may have sent both to one."""
        deadline = time.monotonic() + PATIENCE
        while (connections := [self.connections(name) for name in ("gateway-1", "gateway-2")]) != [1, 1]:
            if time.monotonic() > deadline:
                raise Failure(f"the gateways have {connections} connections, and not one each")
            # A connection that has just ended is counted for a moment still.
            if sum(connections) == len(self.devices):
                self.devices[-1].leave()
                self.devices[-1].here()
            time.sleep(0.05)

    def connections(self, gateway: str) -> int:
        admin = (Path(self.cluster.file).parent / "admin" / gateway).read_text(encoding="utf-8").strip()
        with OPENER.open(f"http://{admin}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith("starling_connections "))

    def before(self, block: Block) -> None:
        for device in self.devices:
            device.here()
