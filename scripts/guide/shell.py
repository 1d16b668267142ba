"""One bash for the whole page, so that what a step defines is there in the next one."""

import subprocess
import threading
from pathlib import Path

MARK = "\x1e"  # ends a command's output, before its exit code
PATIENCE = 30  # seconds that a command may take


class Shell:
    def __init__(self, env: dict[str, str], folder: Path):
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            env=env,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output. A command that takes too long ends the shell, and so the page."""
        self.process.stdin.write(f"{command}\nprintf '{MARK}%s\\n' \"$?\"\n")
        self.process.stdin.flush()
        late = threading.Timer(PATIENCE, self.process.kill)
        late.start()
        output = ""
        try:
            for line in self.process.stdout:
                text, mark, code = line.partition(MARK)
                output += text
                if mark:
                    return int(code), output
        finally:
            late.cancel()
        return -1, output

    def value(self, name: str) -> str:
        """What a variable holds."""
        return self.run(f"printf '%s' \"${name}\"")[1]

    def end(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()
