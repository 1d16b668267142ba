"""An embedded `starling` of its own: free ports, a temporary folder, an end with this program.

Promises that nothing of the caller's environment configures it.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SECRET = "the secret of the schema checks, long enough"
START = 30


@contextlib.contextmanager
def running(binary: Path, folder: str) -> Iterator[str]:
    """Its URL, once it listens."""
    ours = ("STARLING_", "DATABASE_URL", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {
        "STARLING_LISTEN": "127.0.0.1:0",
        "STARLING_ADMIN_LISTEN": "",
        "STARLING_DATA_DIR": f"{folder}/data",
        "STARLING_JWT_SECRET": SECRET,
        "STARLING_GUEST_SIGN_IN": "true",
    }
    out, log = Path(folder, "serve.out"), Path(folder, "serve.log")
    with out.open("w") as stdout, log.open("w") as stderr:
        process = subprocess.Popen([binary, "serve"], env=env, stdout=stdout, stderr=stderr)
    try:
        yield _url(process, out, log)
        _complain(process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen, out: Path, log: Path) -> str:
    end = time.monotonic() + START
    while time.monotonic() < end:
        lines = out.read_text().splitlines(keepends=True)
        if lines and lines[0].startswith("listening on ") and lines[0].endswith("\n"):
            return lines[0].removeprefix("listening on ").strip()
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}:\n{log.read_text()}")
        time.sleep(0.02)
    raise SystemExit(f"the server does not listen after {START} s:\n{log.read_text()}")


def _complain(process: subprocess.Popen, log: Path) -> None:
    """No input ends a server, or makes it call for an operator."""
    calls = [line for line in log.read_text().splitlines() if "panicked at" in line or " ERROR " in line]
    if process.poll() is not None or calls:
        raise SystemExit("the server is not well:\n" + "\n".join(calls or [f"it ended with {process.returncode}"]))
