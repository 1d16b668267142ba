"""A chat through a load balancer: two people, many sockets, REST and Server-Sent Events; and what the nodes say of it."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from secrets import token_hex

from report import ROOT, Problem

sys.path.append(str(ROOT / "scripts/guide"))
from websocket import WebSocket  # noqa: E402

PATIENCE = 30  # seconds within which an event comes
AGAIN = 1  # seconds until who was told to come again does: what Retry-After says
SOCKETS = 6
# Nobody's proxy: everything is on the bridge.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, seconds: float = 5) -> tuple[int, str]:
    """Status and body; 0 and why when there is no answer."""
    try:
        with OPENER.open(url, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


class Chat:
    """Ann says things, and Ben hears them on every one of his sockets and on a stream. Like clients they come again after
    a 503: on a busy machine a node that is asked for its health too late is out of service for a moment.
    """

    def __init__(self, url: str) -> None:
        self.url, self.said, self.sockets = url, 0, []
        self.ann, self.ben = (self.call("auth/guest", {"username": f"{name}-{token_hex(4)}"}) for name in ("ann", "ben"))
        wanted = {"kind": "group", "title": "Smoke", "participant_ids": [self.ben["user"]["id"]]}
        self.room = self.call("conversations", wanted, self.ann)["id"]
        self.connect()

    def call(self, path: str, body: dict | None = None, who: dict | None = None) -> dict:
        headers = {"content-type": "application/json"}
        if who:
            headers["authorization"] = f"Bearer {who['access_token']}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", data, headers)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with OPENER.open(request, timeout=PATIENCE) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as refusal:
                with refusal:
                    again = refusal.code == 503 and "retry-after" in refusal.headers
                    if not again or time.monotonic() > deadline:
                        raise Problem(f"{path}: {refusal.code} {refusal.read().decode()}") from None
            except OSError as error:
                raise Problem(f"{path}: {error}") from None
            time.sleep(AGAIN)

    def connect(self) -> None:
        """As many sockets as there are to be: those that were closed are opened anew."""
        self.sockets = [socket for socket in self.sockets if not socket.closed]
        address = self.url.replace("http", "ws", 1) + "/v1/ws?await_hello=true"
        while len(self.sockets) < SOCKETS:
            new = self.opened(address)
            new.send('{"type":"hello","ref":"h"}')
            self.sockets.append(new)
            self.expect(new, "the answer to hello", lambda event: event.get("ref") == "h" and event["ok"])

    def opened(self, address: str) -> WebSocket:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return WebSocket(address, self.ben["access_token"], PATIENCE)
            except OSError as error:
                if " 503 " not in str(error) or time.monotonic() > deadline:
                    raise Problem(f"a socket: {error}") from None
            time.sleep(AGAIN)

    @staticmethod
    def expect(place: WebSocket, what: str, wanted) -> dict:
        event = place.take(wanted, PATIENCE)
        if event is None:
            raise Problem(f"{what} did not come within {PATIENCE} s; closed: {place.closed}, came: {place.events[-3:]}")
        return event

    def talk(self) -> None:
        """One message by REST, one by a socket: every socket has both, and the history in this order."""
        self.said += 2
        texts = [f"number {self.said - 1}", f"number {self.said}"]
        messages = f"conversations/{self.room}/messages"
        self.call(messages, {"content": texts[0], "client_id": texts[0]}, self.ann)
        frame = {"type": "message.send", "ref": "s", "conversation_id": self.room, "client_id": texts[1], "content": texts[1]}
        self.sockets[0].send(json.dumps(frame))
        for text in texts:
            for place in self.sockets:
                self.expect(place, text, lambda event: event.get("data", {}).get("content") == text)
        items = self.call(f"{messages}?limit=2", who=self.ann)["items"]
        if [item["content"] for item in items] != texts:
            raise Problem(f"the history has {[item['content'] for item in items]}")

    def stream(self) -> None:
        """Server-Sent Events come as they happen: nothing on the way keeps them back."""
        headers = {"authorization": f"Bearer {self.ben['access_token']}", "accept": "text/event-stream"}
        request = urllib.request.Request(f"{self.url}/v1/events", headers=headers)
        with OPENER.open(request, timeout=PATIENCE) as events:
            deadline = time.monotonic() + PATIENCE
            self.line(events, deadline, b"connected")
            self.talk()
            self.line(events, deadline, f"number {self.said}".encode())

    @staticmethod
    def line(events, deadline: float, wanted: bytes) -> None:
        try:
            while time.monotonic() < deadline:
                if wanted in (line := events.readline()):
                    return
                if not line:
                    break
        except (socket.timeout, OSError):
            pass
        raise Problem(f"the stream did not say {wanted!r}")

    def spread(self, gateways: list[str]) -> None:
        """Every gateway holds some of the sockets, by its own metrics. One that was out of service for a moment gets some of
        those that are opened anew.
        """
        deadline = time.monotonic() + PATIENCE
        while silent := [address for address in gateways if connections(address) < 1]:
            if time.monotonic() > deadline:
                raise Problem(f"{silent} have no connection of {SOCKETS}")
            self.anew()

    def anew(self) -> None:
        """All sockets are closed and opened again, and hear what is said."""
        for place in self.sockets:
            place.close()
        self.connect()
        self.talk()

    def close(self) -> None:
        for place in self.sockets:
            place.close()


def connections(address: str) -> int:
    """How many connections a gateway says that it holds."""
    status, text = get(f"http://{address}:9180/metrics")
    found = [line.split()[1] for line in text.splitlines() if line.startswith("starling_connections ")]
    if status != 200 or not found:
        raise Problem(f"{address} shows no connections: {status}")
    return int(float(found[0]))
