"""`starling serve`, as a page has it, for as long as a world needs it."""

import re
from pathlib import Path

from failure import Failure
from listening import Listening

START = 60  # seconds until it listens
END = 60  # seconds until it has ended: it drains first
SERVE = re.compile(r"\bstarling serve\b")


class Serving(Listening):
    def __init__(self, command: str, env: dict[str, str], folder: Path, log: Path):
        # In the shell's own place, so that the process is the server.
        words = ["bash", "-c", SERVE.sub("exec starling serve", command)]
        with log.open("ab") as errors:
            super().__init__(words, START, END, env=env, cwd=folder, stderr=errors, start_new_session=True)
        if not self.url:
            raise Failure(f"it did not start, and ended with {self.process.returncode}")
