"""A WebSocket client of the standard library alone: text frames out, events in, the close code at the end."""

import base64
import json
import os
import socket
import struct
import threading
import time
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    def __init__(self, url: str, token: str, timeout: float):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        path = f"{address.path}?{address.query}" if address.query else address.path
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline().decode().strip()
        while self.stream.readline().strip():
            pass
        if " 101 " not in f"{status} ":
            raise OSError(f"the upgrade was answered with {status!r}")
        self.socket.settimeout(None)
        self.events: list[dict] = []
        self.closed: tuple[int, str] | None = None
        self.news = threading.Condition()
        self.sending = threading.Lock()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def send(self, text: str) -> None:
        self._frame(TEXT, text.encode())

    def take(self, wanted, timeout: float) -> dict | None:
        """The first event that is wanted; later ones and others stay. None when none came in time."""
        deadline = time.monotonic() + timeout
        with self.news:
            while True:
                for place, event in enumerate(self.events):
                    if wanted(event):
                        return self.events.pop(place)
                left = deadline - time.monotonic()
                if left <= 0 or self.closed:
                    return None
                self.news.wait(left)

    def wait_closed(self, timeout: float) -> tuple[int, str] | None:
        """Code and reason that the server closed with; None when it did not."""
        with self.news:
            self.news.wait_for(lambda: self.closed, timeout)
            return self.closed

    def close(self) -> None:
        """Says goodbye and waits for the end of the connection."""
        try:
            self._frame(CLOSE, struct.pack("!H", 1000))
            self.wait_closed(5)
        except OSError:
            pass  # the server closed it before
        self.socket.close()

    def _frame(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        else:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        with self.sending:
            self.socket.sendall(head + mask + masked)

    def _read(self) -> None:
        code, reason = 1006, ""
        try:
            while True:
                kind, size = struct.unpack("!BB", self._bytes(2))
                if size == 126:
                    (size,) = struct.unpack("!H", self._bytes(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self._bytes(8))
                data = self._bytes(size)
                kind &= 0x0F
                if kind == TEXT:
                    with self.news:
                        self.events.append(json.loads(data))
                        self.news.notify_all()
                elif kind == PING:
                    self._frame(PONG, data)
                elif kind == CLOSE:
                    code = struct.unpack("!H", data[:2])[0] if data else 1005
                    reason = data[2:].decode()
                    break
        except (OSError, ValueError):
            pass
        with self.news:
            self.closed = code, reason
            self.news.notify_all()

    def _bytes(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) < size:
            raise OSError("the connection ended")
        return data
