"""The worlds `embedded` and `stopped`: one server with all that it has in a folder.

Where the page starts no server, one is there. What a page sends over a socket goes over a real one, and what it shows
of it must be what comes next. A backup that the page takes is one of people who chat; they go on chatting until the
server is killed for `stopped`, and when it is started again they must find what the backup had, no more and no less.
"""

import json
import re
import subprocess

from expected import Expected
from failure import Failure
from lines import Step
from pages import Block
from people import PATIENCE, Chat
from serving import SERVE, Serving
from websocket import WebSocket
from world import World

WSCAT = re.compile(r'npx wscat -H "authorization: Bearer (\$\w+)" -c "(\S+)"')
GREETING = ["Connected (press CTRL+C to quit)"]


class Embedded(World):
    def start(self) -> None:
        self.data, self.backup = self.folder / "data", self.folder / "backup"
        self.backup.mkdir()
        self.table = {
            "STARLING_LISTEN=127.0.0.1:8080": "STARLING_LISTEN=127.0.0.1:0",
            "/var/lib/starling": str(self.data),
            "/backup": str(self.backup),
        }
        self.server: Serving | None = None
        self.command = "STARLING_LISTEN=127.0.0.1:0 starling serve"
        self.chat: Chat | None = None
        self.kept: list[tuple] = []
        self.socket: WebSocket | None = None
        self.ends.callback(self.stop)

    @property
    def env(self) -> dict[str, str]:
        env = super().env | {"STARLING_DATA_DIR": str(self.data)}
        return env | {"URL": self.server.url, "TOKEN_OF_42": self.token("42")} if self.server else env

    def token(self, sub: str) -> str:
        """As a backend would sign it."""
        env = super().env | {"STARLING_DATA_DIR": str(self.data)}
        command = [self.binary, "token", "--sub", sub]
        return subprocess.check_output(command, env=env, text=True, timeout=PATIENCE).strip()

    def serve(self, command: str) -> None:
        env = super().env | {"STARLING_DATA_DIR": str(self.data), "STARLING_LOG": "warn"}
        self.command, self.server = command, Serving(command, env, self.work, self.folder / "server.log")
        if self.chat is not None:
            self.chat.url = self.server.url
        address = self.server.url.removeprefix("http://")
        self.table |= {"http://127.0.0.1:8080": f"http://{address}", "ws://127.0.0.1:8080": f"ws://{address}"}

    def stop(self, killed: bool = False) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        if self.server is not None:
            self.server.end(killed)
            self.server = None

    def before(self, block: Block) -> None:
        if block.value == "stopped":
            # Nobody restores after a good end: what it was about to write is left beside the database.
            self.stop(killed=True)
        elif self.server is None and not any(map(SERVE.search, block.text)):
            self.serve(self.command)

    def after(self, block: Block) -> None:
        text = "\n".join(block.text)
        if ".backup" in text:
            self.kept = self.chat.messages()
            self.chat.say("Not in the backup")
        if block.value == "stopped":
            self.serve(self.command)
            found = self.chat.messages()
            if found != self.kept:
                raise Failure(f"the backup had {self.kept}, and there is {found}")

    def run(self, command: str) -> tuple[int, str]:
        if not SERVE.search(command):
            return super().run(command)
        self.serve(command)
        self.chat = Chat(self.server.url)
        return 0, ""

    def take(self, step: Step) -> None:
        wscat = WSCAT.fullmatch(step.text) if step.kind == "run" else None
        if wscat:
            if step.shown != GREETING:
                raise Failure(f"wscat says {GREETING[0]}")
            token = self.run(f'printf %s "{wscat[1]}"')[1]
            self.socket = WebSocket(self.here(wscat[2]), token, PATIENCE)
        elif step.kind == "run" or self.socket is None:
            super().take(step)
        elif step.kind == "send":
            self.socket.send(self.here(step.text))
        else:
            self.hear(step.text.splitlines())

    def hear(self, shown: list[str]) -> None:
        """What comes next, and nothing between. Nobody promises that a reply is before the event, or behind it."""
        expected = Expected(self.ids)
        while shown:
            event = self.socket.take(lambda _: True, PATIENCE)
            if event is None:
                raise Failure(f"nothing came like {shown[0]}")
            came = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
            found = next((line for line in shown if expected.is_json(line, came)), None)
            if found is None:
                raise Failure(f"there came\n    {came}")
            shown.remove(found)

    def log(self) -> str:
        log = self.folder / "server.log"
        return log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
