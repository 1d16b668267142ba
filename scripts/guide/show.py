"""How JSON is shown: chosen fields, then an ellipsis, in lines that fit the page."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WIDTH = 112
MORE = "…"


def chosen(value: Any, paths: list[str]) -> Any:
    """What the paths name (`data.sender.username`; lists are looked through), and where something is left out."""
    if isinstance(value, list):
        return [chosen(item, paths) for item in value]
    if not isinstance(value, dict) or "" in paths:
        return value
    kept = {}
    for key, inner in value.items():
        deeper = [path[len(key) :].removeprefix(".") for path in paths if path == key or path.startswith(f"{key}.")]
        if deeper:
            kept[key] = chosen(inner, deeper)
    if len(kept) < len(value):
        kept[MORE] = None
    return kept


def missing(value: Any, path: str) -> bool:
    """Whether a path names nothing in an answer: the template is wrong, or the server."""
    if not path:
        return False
    if isinstance(value, list):
        return not any(not missing(item, path) for item in value)
    if not isinstance(value, dict):
        return True
    key, _, rest = path.partition(".")
    return key not in value or missing(value[key], rest)


def at(value: Any, path: str) -> Any:
    """The field that a path names; None when there is none."""
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def compact(value: Any) -> list[str]:
    """JSON in pieces between which a line may end."""
    if isinstance(value, dict) and value:
        pieces = []
        for key, inner in value.items():
            if key == MORE:
                pieces = [*pieces[:-1], f"{pieces[-1] if pieces else ''}{MORE}"]
                continue
            first, *others = compact(inner)
            pieces += [f"{json.dumps(key)}:{first}", *others]
            pieces[-1] += ","
        pieces[0] = "{" + pieces[0]
        pieces[-1] = pieces[-1].removesuffix(",") + "}"
        return pieces
    if isinstance(value, list) and value:
        pieces = []
        for inner in value:
            pieces += compact(inner)
            pieces[-1] += ","
        pieces[0] = "[" + pieces[0]
        pieces[-1] = pieces[-1].removesuffix(",") + "]"
        return pieces
    return [json.dumps(value, ensure_ascii=False)]


@dataclass
class Json:
    """An answer or a frame, with what stands before it."""

    head: str
    value: Any

    def text(self, normal: Callable[[str], str]) -> str:
        """In as few lines as fit, of what `normal` makes of it."""
        done, line = [], self.head
        for piece in map(normal, compact(self.value)):
            if len(line) + len(piece) > WIDTH and line.strip():
                done.append(line.rstrip())
                line = " " * len(self.head)
            line += piece
        return "\n".join([*done, line]) + "\n"
