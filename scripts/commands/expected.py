"""Compares what a page shows with what came.

`…` stands for anything within a line, and for any number of lines where it is alone on one. Ids, times and epochs
stand for others; in JSON the same shown id must be the same id each time, and figures and the order of lines must be
those shown. In words and tables figures stand for others, and lines may come in another order: nodes are sorted by
their ids, and so by which of them started first.
"""

import re

PART = re.compile(
    r"(?P<short>\b[0-9a-f]{8}[0-9a-f-]*…)"
    r"|(?P<id>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"
    r"|(?P<epoch>\b[0-9a-f]{32}\b)"
    r"|(?P<any>…)"
    r"|(?P<figure>\d[\d.]*)"
    r"|(?P<space>\s+)"
)
MEANS = {
    "short": "[0-9a-f-]+",
    "id": "[0-9a-f-]{36}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "epoch": "[0-9a-f]{32}",
    "any": ".*?",
    "figure": r"\d[\d.]*",
    "space": r"\s+",
}


class Expected:
    """`ids`: what an id of the page was in this run."""

    def __init__(self, ids: dict[str, str]):
        self.ids = ids

    def differs(self, shown: list[str], printed: str) -> str:
        """What is not as shown; nothing when all of it is."""
        came = [line.rstrip() for line in printed.rstrip().splitlines()]
        if shown and shown[0].startswith(("{", "[")):
            if len(came) == len(shown) and all(map(self.is_json, shown, came)):
                return ""
            return _told(shown, came)
        rest = list(came)
        for line in shown:
            if line.strip() == "…":
                continue
            found = next((other for other in rest if self._matches(line, other, exact=False)), None)
            if found is None:
                return _told([line], came)
            rest.remove(found)
        if [line for line in rest if line] and "…" not in map(str.strip, shown):
            return _told(shown, came)
        return ""

    def is_json(self, shown: str, came: str) -> bool:
        return self._matches(shown, came, exact=True)

    def _matches(self, shown: str, came: str, exact: bool) -> bool:
        pattern, captured, end = "", [], 0
        for part in PART.finditer(shown):
            kind, text = part.lastgroup, part[0]
            pattern += re.escape(shown[end : part.start()])
            end = part.end()
            if kind == "figure" and exact:
                pattern += re.escape(text)
            elif kind in ("short", "id"):
                known = self.ids.get(text) if exact else None
                pattern += re.escape(known) if known else f"({MEANS[kind]})"
                captured += [] if known else [text]
            else:
                pattern += MEANS[kind]
        found = re.fullmatch(pattern + re.escape(shown[end:]), came)
        if not found:
            return False
        for text, id in zip(captured, found.groups()):
            self.ids.setdefault(text, id)
        return True


def _told(shown: list[str], came: list[str]) -> str:
    between = "\n    "
    return f"the page shows{between}{between.join(shown)}\n  and there came{between}{between.join(came) or 'nothing'}"
