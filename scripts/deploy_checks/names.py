"""A DNS server for pods: it answers for the names that it was told with their IPv4 addresses, and knows no others."""

import socket
import struct
import threading

A, NO_SUCH_NAME = 1, 3
MOMENT = 5  # seconds after a life that is short


class Names:
    """`known`: addresses by full name. It may be changed while it answers."""

    def __init__(self, address: str) -> None:
        self.known: dict[str, list[str]] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        # It looks so often whether it is to end.
        self.socket.settimeout(0.2)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Names":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.ending.set()
        self.thread.join(MOMENT)
        self.socket.close()

    def _serve(self) -> None:
        while not self.ending.is_set():
            try:
                question, asker = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(question), asker)
            except (OSError, struct.error, IndexError):  # nobody asked, or nothing that can be read
                continue

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        end = at + 5  # behind the name's end: type and class
        (kind,) = struct.unpack_from("!H", question, at + 1)
        found = self.known.get(".".join(labels).lower())
        addresses = found if found and kind == A else []
        # An answer, with authority, no recursion needed.
        flags = 0x8580 | (0 if found is not None else NO_SUCH_NAME)
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
        # Each points back to the name in the question.
        records = [struct.pack("!HHHIH", 0xC00C, A, 1, 1, 4) + socket.inet_aton(address) for address in addresses]
        return head + question[12:end] + b"".join(records)
