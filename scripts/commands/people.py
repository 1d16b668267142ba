"""Ann and Ben, who chat in a group: over REST, and each with a socket that comes back when it was ended."""

import json
import urllib.error
import urllib.request
from typing import Any

from failure import Failure
from websocket import WebSocket

PATIENCE = 20  # seconds within which an answer or an event comes
# Whatever proxy the caller has: the nodes are on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url: str, method: str, path: str, token: str = "", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{url}/v1/{path}", data, headers, method=method)
    try:
        with OPENER.open(request, timeout=PATIENCE) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise Failure(f"{method} {path}: {refusal.code} {refusal.read().decode()}") from refusal


class Device:
    """A socket of somebody."""

    def __init__(self, url: str, token: str):
        self.url, self.token = f"{url.replace('http', 'ws', 1)}/v1/ws?await_hello=true", token
        self.socket: WebSocket | None = None

    def here(self) -> "Device":
        """Connected, as a client would be by now."""
        if self.socket is None or self.socket.closed:
            self.leave()
            self.socket = WebSocket(self.url, self.token, PATIENCE)
            self.socket.send('{"type":"hello","ref":"hello"}')
            self.hears(type="reply", ref="hello", ok=True)
        return self

    def hears(self, **wanted: Any) -> dict:
        event = self.socket.take(lambda event: wanted.items() <= event.items(), PATIENCE)
        if event is None:
            raise Failure(f"no event with {wanted} came")
        return event

    def leave(self) -> None:
        if self.socket is not None:
            self.socket.close()


class Chat:
    """A group with a message or two."""

    def __init__(self, url: str):
        self.url = url
        self.ann, self.ben = (call(url, "POST", "auth/guest", body={"username": name}) for name in ("ann", "ben"))
        wanted = {"kind": "group", "title": "Team", "participant_ids": [self.ann["user"]["id"]]}
        self.room = call(url, "POST", "conversations", self.ben["access_token"], wanted)["id"]
        self.said = 0
        self.say("Are you there?")

    def say(self, text: str) -> dict:
        self.said += 1
        body = {"content": text, "client_id": f"ben-{self.said}"}
        return call(self.url, "POST", f"conversations/{self.room}/messages", self.ben["access_token"], body)

    def messages(self) -> list[tuple]:
        """What Ann reads, with the token that she has had from the beginning."""
        page = call(self.url, "GET", f"conversations/{self.room}/messages?limit=100", self.ann["access_token"])
        return [(item["id"], item["seq"], item["content"]) for item in page["items"]]

    def device(self, who: dict) -> Device:
        return Device(self.url, who["access_token"])
