"""One bash for the whole page, so that what a step defines is there in the next one."""

import os
import shlex
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

MARK = "\x1e"  # ends a command's output, before its exit code
PATIENCE = 30  # seconds that a command may take


class Shell:
    """`strict`: a command that fails ends the shell, also in the midst of a line or of a pipe."""

    def __init__(self, env: dict[str, str], folder: Path, patience: float = PATIENCE, strict: bool = False):
        self.patience = patience
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", *(["-e", "-o", "pipefail"] if strict else [])],
            env=env,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Without the caller's terminal: what asks for a password there would wait for somebody to type it. And with
            # a group of its own, so that what a command started ends with the shell.
            start_new_session=True,
        )

    def run(self, command: str, given: str = "") -> tuple[int, str]:
        """Exit code and output. A command that takes too long ends the shell, and so the page.

        The command reads what is given, and not the shell's own input, which has the next commands.
        """
        source = f"<<< {shlex.quote(given)}" if given else "</dev/null"
        try:
            self.process.stdin.write(f"{{ {command}\n}} {source}\nprintf '{MARK}%s\\n' \"$?\"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return -1, "the shell has ended\n"
        late = threading.Timer(self.patience, self._kill)
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
        return self.process.wait(5) or -1, output

    def value(self, name: str) -> str:
        """What a variable holds."""
        return self.run(f"printf '%s' \"${name}\"")[1]

    def end(self) -> None:
        """Ends it, and what its commands have left behind."""
        self._kill()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()

    def _kill(self) -> None:
        # Until it is waited for, its number is nobody else's.
        if self.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # all of them have ended by themselves
                os.killpg(self.process.pid, signal.SIGKILL)
