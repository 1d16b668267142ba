"""Gateways and one api node on PostgreSQL and Redis, by scripts/cluster. Ended by its own process, never by name."""

import os
import random
import re
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

START = 120  # seconds until it is up
END = 300  # seconds until it has ended: the script gives each of its five parts a minute


class Failure(Exception):
    """Why there is no page."""


def free_port() -> int:
    """One that nodes do not take meanwhile, which the system gives free ones: it gives them from 32768 on."""
    while True:
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
                return found.getsockname()[1]
            except OSError:
                continue


def end(process: subprocess.Popen) -> None:
    """Tells it to end, and waits for that."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END)
    process.stdout.close()


class Cluster:
    """`env`: what docs/load-testing.md calls URL, GATEWAY_PID and GATEWAY_ADMIN, and what is in the cluster's `file`."""

    def __init__(self, root: Path, binary: Path, gateways: int = 1):
        self.root, self.binary, self.gateways = root, binary, gateways
        self.env: dict[str, str] = {}
        self.file = ""

    def __enter__(self) -> "Cluster":
        port = str(free_port())
        settings = {"PORT": port, "GATEWAYS": str(self.gateways), "APIS": "1", "STARLING_BIN": str(self.binary)}
        self.folder = tempfile.TemporaryDirectory(prefix="starling-cluster-of-pages.")
        self.log = Path(self.folder.name) / "log"
        script, env = self.root / "scripts" / "cluster", os.environ | settings
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([script], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            late = threading.Timer(START, self.process.terminate)
            late.start()
            try:
                # It prints its URL when it is up.
                url = self.process.stdout.readline().strip()
            finally:
                late.cancel()
            # What it says of its parts comes at once, and its file is named last.
            self.env = self.known(url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def known(self, url: str) -> dict[str, str]:
        for _ in range(100):
            said = self.log.read_text(encoding="utf-8")
            file = re.search(r"set -a; \. (\S+);", said)
            gateway = re.search(r"gateway-1 +pid (\d+) +tail -f (\S+)", said)
            if url and file and gateway:
                pairs = (line.split("=", 1) for line in Path(file[1]).read_text(encoding="utf-8").splitlines())
                env = {name: shlex.split(value)[0] for name, value in pairs}
                admin = re.search(r"^admin on (\S+)", Path(gateway[2]).read_text(encoding="utf-8"), re.MULTILINE)
                if admin is None:
                    break
                self.file = file[1]
                return env | {"URL": url, "GATEWAY_PID": gateway[1], "GATEWAY_ADMIN": admin[1]}
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise Failure(f"scripts/cluster did not come up: {said}")

    def __exit__(self, *_) -> None:
        end(self.process)
        self.folder.cleanup()
