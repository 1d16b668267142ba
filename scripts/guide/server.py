"""An embedded node on a free port, with its data in a temporary folder."""

from pathlib import Path

from listening import Listening
from steps import Failure

START = 30  # seconds until it listens
END = 15  # seconds until it has ended


class Server:
    def __init__(self, binary: Path, folder: Path):
        if not binary.is_file():
            raise Failure(f"{binary} is not there: 'make build' makes it")
        self.binary, self.folder = binary, folder
        (folder / "work").mkdir()
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
            self.server = Listening([self.binary, "serve"], START, END, env=self.env | settings, stderr=log)
        self.url = self.server.url
        if not self.url:
            raise Failure(f"{self.binary} did not start: {self.log()}")
        return self

    def __exit__(self, *_) -> None:
        self.server.end()

    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]
