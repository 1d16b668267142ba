"""The fenced blocks of the pages, and how each is held true. It runs nothing."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

# What holds all blocks of one language on a page, which its program finds by itself.
WHOLE = {
    ("docs/guide.md", "console"): "scripts/guide",
    ("docs/load-testing.md", "console"): "scripts/recipes",
}
PLACES = ("*.md", "docs/**/*.md", "deploy/**/README.md", "k8s/**/*.md", "clients/**/*.md", "tests/**/*.md")
# Decisions are not changed afterwards, so that their commands may be of another time.
LEFT_OUT = {"adr", "node_modules", "target"}
COMMANDS = {"sh", "bash", "console"}
KINDS = ("in", "by", "not-here")
FENCE = re.compile(r"( *)(`{3,}|~{3,})(.*)")
COMMAND = re.compile(r"(\$ )?([A-Z_]+=\S* +)*(make|cargo|starling|starling-load|docker|kubectl|curl) |\$ ")


@dataclass
class Block:
    page: str
    line: int  # of its fence, from 1
    language: str
    info: str  # what stands behind the language
    text: list[str]
    kind: str = ""  # one of KINDS
    value: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def find(root: Path) -> list[str]:
    """The pages, by their paths below the root."""
    found = {path.relative_to(root) for place in PLACES for path in root.glob(place)}
    return sorted(str(path) for path in found if not LEFT_OUT & set(path.parts))


def fenced(page: str, text: str) -> tuple[list[Block], list[tuple[int, str]]]:
    """The blocks, and the lines around them with their numbers."""
    blocks, around = [], []
    open_block, ends = None, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if open_block is not None:
            if fence and fence[2].startswith(ends) and not fence[3].strip():
                open_block = None
            else:
                open_block.text.append(line)
        elif fence:
            language, _, info = fence[3].strip().partition(" ")
            open_block, ends = Block(page, number, language, info.strip(), []), fence[2]
            blocks.append(open_block)
        else:
            around.append((number, line))
    return blocks, around


def read(root: Path, page: str, worlds) -> tuple[list[Block], list[str]]:
    """The blocks of commands that say how they are held true, and what is wrong with others."""
    blocks, failures = [], []
    for block in fenced(page, (root / page).read_text(encoding="utf-8"))[0]:
        why = marked(block, root, worlds) if block.language in COMMANDS else unmarked(block)
        if why:
            failures.append(f"{block.place}: {why}")
        elif block.kind:
            blocks.append(block)
    return blocks, failures


def marked(block: Block, root: Path, worlds) -> str:
    """Takes the mark over into the block; why not, if it has none that will do."""
    whole = WHOLE.get((block.page, block.language))
    if whole and not block.info:
        block.kind, block.value = "by", whole
        return ""
    try:
        pairs = [word.partition("=") for word in shlex.split(block.info)]
    except ValueError as error:
        return f"{block.info!r} cannot be read: {error}"
    if len(pairs) != 1 or pairs[0][0] not in KINDS or not pairs[0][2].strip():
        found = f"and not {block.info!r}" if block.info else "and nothing stands there"
        return f'behind {block.language} stands in=WORLD, by=PATH or not-here="WHY", {found}'
    block.kind, _, block.value = pairs[0]
    if block.kind == "in" and block.value not in worlds:
        return f"there is no world {block.value!r}: {', '.join(worlds)}"
    if block.kind == "by" and not (root / block.value).exists():
        return f"{block.value} is not there"
    if block.kind == "by" and not told_of(block, root / block.value):
        return f"{block.value} neither names this page nor has these commands"
    return ""


def told_of(block: Block, by: Path) -> bool:
    """Whether what runs the block knows it: it names the page, or has each command of the block."""
    files = sorted(by.glob("*.py")) if by.is_dir() else [by]
    said = "\n".join(file.read_text(encoding="utf-8") for file in files)
    commands = [line.split("  #")[0].strip() for line in block.text if line.strip()]
    return block.page in said or all(command in said for command in commands)


def unmarked(block: Block) -> str:
    first = next((line.strip() for line in block.text if line.strip()), "")
    if COMMAND.match(first):
        return f"`{first}` looks like a command: make the block ```sh, and say how it is held true"
    return ""
