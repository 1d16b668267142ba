"""A process of `starling serve`, from its start until it has ended. Ended by its own process, never by name."""

import subprocess
import threading


class Listening:
    """`url`: where it listens; empty when it did not get as far as that within `start` seconds, and has ended."""

    def __init__(self, command: list, start: float, end: float, **how):
        self.patience = end
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **how)
        # Reading its output has no deadline of its own: killed, it has an end.
        late = threading.Timer(start, self.process.kill)
        late.start()
        try:
            self.url = next((line.split()[-1] for line in self.process.stdout if line.startswith("listening on ")), "")
        except BaseException:
            self.end(killed=True)
            raise
        finally:
            late.cancel()
        if not self.url:
            self.end()

    def end(self, killed: bool = False) -> None:
        if self.process.poll() is None:
            self.process.kill() if killed else self.process.terminate()
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(self.patience)
        self.process.stdout.close()
