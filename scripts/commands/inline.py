"""Commands within a line of text: the binary must know each `starling …`, and the Makefile each `make …`.

They are not carried out: `--help` behind them has the binary look at what stands before it.
"""

import re
import shlex
import subprocess
from pathlib import Path

from pages import fenced

PATIENCE = 20  # seconds that `--help` may take
CODE = re.compile(r"`([^`]+)`")
STARLING = re.compile(r"(?:[A-Z_]+=\S+ )*starling(-load)?((?: [^\s;|&]+)+)")
MAKE = re.compile(r"(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def wrong(root: Path, page: str, binary: Path) -> list[str]:
    """What the page names and is not there, with the line."""
    blocks, around = fenced(page, (root / page).read_text(encoding="utf-8"))
    spans = coded(around)
    # `make` in blocks that are not run here is the same to a reader.
    lines = [(block.line + at, line.removeprefix("$ ")) for block in blocks for at, line in enumerate(block.text, 1)]
    targets = set(TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))
    failures = [
        f"{page}:{number}: there is no `make {found[1]}`"
        for number, code in spans + lines
        if (found := MAKE.match(code)) and found[1] not in targets
    ]
    for number, code in spans:
        if (found := STARLING.fullmatch(code)) and (why := refused(found, binary)):
            failures.append(f"{page}:{number}: `{code}`: {why}")
    return failures


def coded(around: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """What stands in backticks, which may go over the end of a line, and not over a paragraph's or a row's."""
    spans, paragraph = [], ""
    for place, (number, line) in enumerate(around):
        paragraph += f"{line}\n"
        next_number, next_line = around[place + 1] if place + 1 < len(around) else (0, "")
        if not next_line.strip() or line.startswith("|") or next_number != number + 1:
            for found in CODE.finditer(paragraph):
                behind = paragraph.count("\n", found.start()) - 1
                spans.append((number - behind, " ".join(found[1].split())))
            paragraph = ""
    return spans


def refused(found: re.Match, binary: Path) -> str:
    """What the binary says against the command; nothing when it knows all of it."""
    words = [word for word in shlex.split(found[2]) if "…" not in word]
    command = [str(binary), *(["load"] if found[1] else []), *words, "--help"]
    try:
        told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE} s"
    return "" if told.returncode == 0 else told.stderr.strip()
