"""An embedded node on a free port, with its data in a temporary folder. Ended by its own process, never by name."""

import subprocess
import threading
from pathlib import Path

from steps import Failure

START = 30  # seconds until it listens
END = 15  # seconds until it has ended


class Server:
    def __init__(self, binary: Path, folder: Path):
        if not binary.is_file():
            raise Failure(f"{binary} is not there: 'make build' makes it")
        self.binary, self.folder = binary, folder
        (folder / "work").mkdir()
        self.process = None
        self.url = ""

    @property
    def env(self) -> dict[str, str]:
        """For the server and for the commands of the page; nothing of the caller's but the programs."""
        path = f"{self.binary.parent}:/usr/local/bin:/usr/bin:/bin"
        # `starling token` signs with the secret that the server made in its data folder.
        data = str(self.folder / "data")
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", "STARLING_DATA_DIR": data}

    def __enter__(self) -> "Server":
        settings = {"STARLING_LISTEN": "127.0.0.1:0", "STARLING_LOG": "warn"}
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve"], env=self.env | settings, stdout=subprocess.PIPE, stderr=log, text=True
            )
        # Reading its output has no deadline of its own: killed, it has an end.
        late = threading.Timer(START, self.process.kill)
        late.start()
        try:
            for line in self.process.stdout:
                if line.startswith("listening on "):
                    self.url = line.removeprefix("listening on ").strip()
                    return self
        finally:
            late.cancel()
        self.__exit__()
        raise Failure(f"{self.binary} did not start: {self.log()}")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END)
        self.process.stdout.close()

    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]
