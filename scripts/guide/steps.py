"""Carries out the blocks ```run of the template, line by line, and puts what came back below each line.

    $ COMMAND              a line of bash; lines that begin with a space go on with it
    | PATH …               of the JSON answer above show these fields alone; `-`: show nothing
    ben connect            opens Ben's socket with the token in $BEN; `ben leave` closes it
    ben> JSON              sends it, with the values of the $VARIABLES in it
    ben< TYPE PATH=JSON …  waits for the first event of this type in which these fields have these values
    ben closed             waits until the server closes the socket
    = NAME PATH            keeps a field of what came last in a variable; shown nowhere
"""

import json
import re
from typing import Any

from shell import Shell
from show import Json, at, chosen, missing
from websocket import WebSocket

PATIENCE = 20  # seconds within which an event comes
VARIABLE = re.compile(r"\$([A-Z_]+)")
ASSIGNED = re.compile(r"\b([A-Z_]+)=")
ANSWER = re.compile(r"(\d{3}) (.*)\n", re.DOTALL)
SOCKET = re.compile(r"([a-z]+)(>|<| connect$| leave$| closed$) ?(.*)")


class Failure(Exception):
    """Why there is no page."""


class Steps:
    def __init__(self, server):
        self.server = server
        self.sockets = {}
        self.names: dict[str, str] = {}
        self.last: Any = None

    def __enter__(self) -> "Steps":
        self.shell = Shell(self.server.env | {"URL": self.server.url}, self.server.folder / "work")
        return self

    def __exit__(self, *_) -> None:
        for socket in self.sockets.values():
            socket.close()
        self.shell.end()

    def page(self, template: str) -> list[str | Json]:
        """The parts of the page, as this run has it."""
        page, block = [], None
        for number, line in enumerate(template.splitlines(), 1):
            if block is None:
                if line == "```run":
                    page.append("```console\n")
                    block = []
                else:
                    page.append(f"{line}\n")
            elif line == "```":
                page += [*self.block(block), "```\n"]
                block = None
            elif line.startswith(" "):
                block[-1][1] += f"\n{line}"
            elif line.startswith("| "):
                block[-1][2] = line[2:].split()
            else:
                block.append([number, line, []])
        return page

    def block(self, steps: list) -> list[str | Json]:
        shown = []
        for number, line, fields in steps:
            try:
                shown += self.step(line, fields)
            except (Failure, OSError, KeyError, ValueError) as why:
                raise Failure(f"template.md:{number}: {line}\n  {why}\n{self.server.log()}") from why
        return shown

    def step(self, line: str, fields: list[str]) -> list[str | Json]:
        if not line:
            return ["\n"]
        if line.startswith("$ "):
            return self.command(line[2:], fields)
        if line.startswith("= "):
            _, name, path = line.split()
            self.shell.run(f"{name}='{at(self.last, path)}'")
            self.learn(f"{name}=")
            return []
        found = SOCKET.fullmatch(line)
        if not found:
            raise Failure("no such step")
        who, what, rest = found.groups()
        return self.socket_step(who, what.strip(), rest, fields)

    def command(self, command: str, fields: list[str]) -> list[str | Json]:
        code, output = self.shell.run(command)
        if code != 0:
            raise Failure(f"ended with {code}: {output}")
        self.learn(command)
        shown = f"$ {command}\n"
        if fields == ["-"]:
            return [shown]
        answer = ANSWER.fullmatch(output)
        if answer and not 200 <= int(answer[1]) < 500:
            raise Failure(f"was answered with {output}")
        if not answer or not answer[2].startswith(("{", "[")):
            return [shown, output.replace(" \n", "\n")]
        self.last = json.loads(answer[2])
        return [shown, self.shown(f"{answer[1]} ", fields)]

    def socket_step(self, who: str, what: str, rest: str, fields: list[str]) -> list[str | Json]:
        if what == "connect":
            url = self.server.url.replace("http", "ws", 1) + "/v1/ws?await_hello=true"
            self.sockets[who] = WebSocket(url, self.shell.value(who.upper()), PATIENCE)
            return [f"{who} connects\n"]
        if what == "leave":
            self.sockets.pop(who).close()
            return [f"{who} leaves\n"]
        socket = self.sockets[who]
        if what == "closed":
            closed = socket.wait_closed(PATIENCE)
            if not closed:
                raise Failure("the socket is open")
            return [f"{who} closed: {closed[0]} {closed[1]}\n"]
        if what == ">":
            command = json.loads(VARIABLE.sub(lambda name: self.shell.value(name[1]), rest))
            socket.send(json.dumps(command, ensure_ascii=False))
            return [Json(f"{who}> ", command)]
        kind, *conditions = rest.split()
        wanted = {"type": kind} | {path: json.loads(value) for path, _, value in (c.partition("=") for c in conditions)}
        event = socket.take(lambda event: all(at(event, path) == value for path, value in wanted.items()), PATIENCE)
        if event is None:
            raise Failure(f"no such event came; these did: {json.dumps(socket.events)[-1000:]}")
        self.last = event
        return [self.shown(f"{who}< ", ["type", *fields] if fields else [])]

    def shown(self, head: str, fields: list[str]) -> Json:
        """What came last, with the fields that the template asks for."""
        for path in fields:
            if missing(self.last, path):
                raise Failure(f"{path} is not in {json.dumps(self.last)}")
        return Json(head, chosen(self.last, fields) if fields else self.last)

    def learn(self, command: str) -> None:
        """Ids get the name of the variable that holds them."""
        for name in ASSIGNED.findall(command):
            value = self.shell.value(name)
            if re.fullmatch(r"[0-9a-f-]{36}", value):
                self.names.setdefault(value, name.lower().removesuffix("_id"))
