"""A PostgreSQL server of its own, as a package installs one: its superuser is `postgres`, who needs no password through
its folder's socket; over TCP everybody needs one. Ended by its own process, never by name."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from failure import Failure

START = 60  # seconds until it accepts connections
END = 60  # seconds until it has ended


class PrivatePostgres:
    def __init__(self, root: Path, folder: Path):
        found = subprocess.run([root / "scripts" / "postgres-bin"], capture_output=True, text=True, timeout=START)
        if found.returncode != 0:
            raise Failure("no PostgreSQL server: 'scripts/install-deps test' brings one")
        self.programs, self.folder = Path(found.stdout.strip()), folder
        # It refuses to run as root.
        other = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        self.user = other if os.getuid() == 0 else []
        self.port = 0

    @property
    def env(self) -> dict[str, str]:
        """For programs that are to find it by themselves."""
        return {"PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": "postgres"}

    def __enter__(self) -> "PrivatePostgres":
        self.folder.mkdir()
        if self.user:
            shutil.chown(self.folder, "postgres")
        data, self.log = self.folder / "data", self.folder.parent / "postgres.log"
        made = [*self.user, self.programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
        made += ["--auth-local=trust", "--auth-host=scram-sha-256"]
        told = subprocess.run(made, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START)
        if told.returncode != 0:
            raise Failure(f"initdb failed: {told.stderr}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        command = [*self.user, self.programs / "postgres", "-D", data, "-p", str(self.port)]
        command += [word for setting in settings for word in ("-c", setting)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START
        while "ready to accept connections" not in (said := self.log.read_text(encoding="utf-8", errors="replace")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failure(f"PostgreSQL did not start: {said[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            # Its fast shutdown: it waits for nobody.
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END)
