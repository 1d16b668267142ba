"""What a world has in common with the others: a folder, a shell in it, and words of the page that stand for others."""

import os
import re
import time
from contextlib import ExitStack
from pathlib import Path

from expected import Expected
from failure import Failure
from lines import Step
from pages import Block
from shell import Shell

PATIENCE = 60  # seconds that a line may take
# What only looks may look again: on a busy machine a node that was held up for a moment is missing in the answer.
LOOKS = re.compile(r"starling (admin (nodes|trace|heads|jobs)|check)\b")


class World:
    def __init__(self, root: Path, binary: Path, folder: Path):
        self.root, self.binary, self.folder = root, binary, folder
        self.work, self.programs = folder / "work", folder / "bin"
        # What the page says, and what it is here. Ids that were printed are in `ids`.
        self.table: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        # For commands that ask for something: what they are called, and what is typed.
        self.typed: dict[str, str] = {}
        self.ends = ExitStack()
        self.shell: Shell | None = None

    def __enter__(self) -> "World":
        # Also for the user who PostgreSQL runs as.
        self.folder.chmod(0o755)
        self.work.mkdir()
        self.programs.mkdir()
        (self.programs / "starling").symlink_to(self.binary)
        load = self.programs / "starling-load"
        load.write_text(f'#!/bin/sh\nexec "{self.binary}" load "$@"\n', encoding="utf-8")
        load.chmod(0o755)
        # An answer that is a refusal is none that the page means.
        (self.folder / ".curlrc").write_text("fail\nshow-error\n", encoding="utf-8")
        with ExitStack() as ends:
            self.ends = ends
            self.start()
            # What was started is ended with the page, and not when this is left.
            self.ends = ends.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.ends.close()

    @property
    def env(self) -> dict[str, str]:
        """For what the page calls; nothing of the caller's but the programs."""
        path = f"{self.programs}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", "TMPDIR": str(self.folder)}

    def start(self) -> None:
        """What is there before the page begins."""

    def before(self, block: Block) -> None:
        """What happens between the page's blocks."""

    def after(self, block: Block) -> None:
        """What must hold when a block was run."""

    def log(self) -> str:
        """For who reads why a line failed."""
        return ""

    def take(self, step: Step) -> None:
        """One line of the page."""
        if step.kind != "run":
            raise Failure("no socket is open here")
        deadline = time.monotonic() + PATIENCE
        while why := self.differs(step):
            if not LOOKS.match(step.text) or time.monotonic() > deadline:
                raise Failure(why)
            time.sleep(0.5)

    def differs(self, step: Step) -> str:
        """What is not as the page shows it; nothing when all of it is."""
        code, output = self.run(self.here(step.text))
        if code != 0:  # that has ended the shell
            raise Failure(f"ended with {code}:\n{output}")
        if step.shown is None:  # in ```sh nothing is
            return ""
        ids = dict(self.ids)
        why = Expected(ids).differs([self.here_in_words(line) for line in step.shown], output)
        if not why:
            self.ids.update(ids)
        return why

    def run(self, command: str) -> tuple[int, str]:
        if self.shell is None:
            self.shell = Shell(self.env, self.work, PATIENCE, strict=True)
            self.ends.callback(self.shell.end)
        given = next((text for name, text in self.typed.items() if name in command), "")
        return self.shell.run(command, given)

    def here(self, text: str) -> str:
        """A command of the page, as it is in this world."""
        return _replaced(text, self.ids | self.table)

    def here_in_words(self, text: str) -> str:
        """The same for what a command prints: its ids are compared as ids."""
        return _replaced(text, self.table)


def _replaced(text: str, table: dict[str, str]) -> str:
    if not table:
        return text
    # The longest first; and nothing of what was put in is replaced again.
    words = sorted(table, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, words)), lambda found: table[found[0]], text)
