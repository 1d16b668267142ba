"""`starling serve`, as a page has it, for as long as a world needs it. Ended by its own process, never by name."""

import re
import subprocess
import threading
from pathlib import Path

from failure import Failure

START = 60  # seconds until it listens
END = 60  # seconds until it has ended: it drains first
SERVE = re.compile(r"\bstarling serve\b")


class Serving:
    def __init__(self, command: str, env: dict[str, str], folder: Path, log: Path):
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                # In the shell's own place, so that the process is the server.
                ["bash", "-c", SERVE.sub("exec starling serve", command)],
                env=env,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        # Reading its output has no deadline of its own: killed, it has an end.
        late = threading.Timer(START, self.process.kill)
        late.start()
        self.url = ""
        try:
            for line in self.process.stdout:
                if line.startswith("listening on "):
                    self.url = line.removeprefix("listening on ").strip()
                    return
        finally:
            late.cancel()
        self.end()
        raise Failure(f"it did not start, and ended with {self.process.returncode}")

    def end(self, killed: bool = False) -> None:
        if self.process.poll() is None:
            self.process.kill() if killed else self.process.terminate()
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END)
        self.process.stdout.close()
