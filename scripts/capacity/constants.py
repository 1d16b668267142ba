"""Reads docs/capacity.toml, and looks whether the pages that it names still have its numbers.

The file is a little of TOML: tables of `key = value`, where a value is a string or a number. Python 3.10 has no reader
of TOML, and this much needs none.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "docs" / "capacity.toml"
TABLE = re.compile(r"\[(\w+)\]")
PAIR = re.compile(r"(\w+) = (?:\"([^\"\\]*)\"|(\d+(?:\.\d+)?))")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


class Wrong(Exception):
    """What cannot be computed with, in one line for who asked."""


@dataclass(frozen=True)
class Constant:
    """One number and where it comes from; without `page` it is a choice, and `what` says why."""

    value: float
    what: str
    page: str = ""
    section: str = ""
    members: float = 0


def read(text: str, name: str = "docs/capacity.toml") -> dict[str, Constant]:
    """The constants of a file by name."""
    tables: dict[str, dict] = {}
    table: dict | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line, place = line.strip(), f"{name}, line {number}"
        if not line or line.startswith("#"):
            continue
        if found := TABLE.fullmatch(line):
            if found[1] in tables:
                raise Wrong(f"{place}: [{found[1]}] is there twice")
            table = tables.setdefault(found[1], {})
        elif (found := PAIR.fullmatch(line)) and table is not None:
            table[found[1]] = found[2] if found[3] is None else float(found[3])
        else:
            raise Wrong(f"{place}: neither [name] nor, below one, key = number or key = \"text\"")
    return {key: constant(key, fields, name) for key, fields in tables.items()}


def constant(key: str, fields: dict, name: str) -> Constant:
    try:
        made = Constant(**fields)
    except TypeError:
        raise Wrong(f"{name}: [{key}] takes value, what, page, section and members, the first two always") from None
    texts = made.what, made.page, made.section
    if not all(isinstance(text, str) for text in texts) or not isinstance(made.value, float):
        raise Wrong(f"{name}: [{key}]: value is a number, the others are texts")
    return made


def load(path: Path = FILE) -> dict[str, Constant]:
    """Those of docs/capacity.toml."""
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None


def drifted(constants: dict[str, Constant], root: Path = ROOT) -> list[str]:
    """A line for each constant that the section which it names does not have, or has no more."""
    lines = []
    for key, found in constants.items():
        if not found.page:
            continue
        path = root / found.page
        text = section(path.read_text(encoding="utf-8"), found.section) if path.exists() else None
        if text is None:
            lines.append(f"docs/capacity.toml: [{key}]: {found.page} has no section that begins with {found.section!r}")
        elif found.value not in numbers(text):
            where = f"{found.page}, {found.section!r}"
            lines.append(f"docs/capacity.toml: [{key}] is {found.value:g}, which {where}, does not say")
    return lines


# What the plans need and the formulas of docs/scaling.md tell in words, or as the sum of two.
UNTOLD = {"delivery_one_node_us", "delivery_six_nodes_us", "resume_us"}
UNTOLD |= {"wal_message_bytes", "wal_marker_bytes", "event_bytes", "marker_event_bytes"}


def untold(constants: dict[str, Constant], page: str) -> list[str]:
    """A line for each measured constant that the formulas of this page do not have: they are computed with another."""
    told = numbers(section(page, "The formulas") or "")
    measured = {key: found.value for key, found in constants.items() if found.page and key not in UNTOLD}
    missing = {key: value for key, value in measured.items() if value not in told}
    return [f"docs/scaling.md, 'The formulas', has no {value:g} ([{key}])" for key, value in missing.items()]


def section(page: str, title: str) -> str | None:
    """The text below the heading that begins with this, up to the next heading as high."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return next((part for part in parts if part.startswith(f"## {title}")), None)


def numbers(text: str) -> set[float]:
    """Every number in it; `5,995` is one number."""
    return {float(found.replace(",", "")) for found in NUMBER.findall(text)}
