"""Collects what was found, one line per check, and where things are."""

import os
import signal
import subprocess
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Programs of the private environment are beside its Python.
TOOLS = Path(sys.executable).parent


class Problem(Exception):
    """Something is wrong with a file; the text says what."""


class Report:
    """Counts, prints, and makes the exit code."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    @contextmanager
    def check(self, what: str):
        """One check: passes unless the block raises."""
        try:
            yield
        except Problem as problem:
            self._fail(what, str(problem))
        except Exception:  # a broken check must not pass for a good file
            self._fail(what, traceback.format_exc())
        else:
            self.passed += 1
            print(f"ok      {what}")

    def _fail(self, what: str, why: str) -> None:
        self.failed += 1
        print(f"FAILED  {what}")
        for line in why.rstrip().splitlines():
            print(f"        {line}")

    def skip(self, what: str) -> None:
        """Tells what cannot be checked on this machine."""
        print(f"not checked: {what}")

    def close(self) -> int:
        print(f"deploy: {self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def run(*command, env=None, text_in=None, stderr=False) -> str:
    """A command's output (with `stderr`, what it said on that too); a `Problem` with it when the command fails or takes
    longer than a minute.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=env,
            input=text_in or "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem(f"{command[0]} did not end within 60 s") from None
    if done.returncode != 0:
        raise Problem(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if stderr else "")


def starling() -> Path:
    """The built binary, by a path that leads there from every folder: what runs it goes elsewhere first."""
    target = os.environ.get("CARGO_TARGET_DIR") or "target"
    binary = ROOT / (os.environ.get("STARLING_BIN") or f"{target}/debug/starling")
    if not binary.is_file():
        raise Problem(f"{binary} is not there: run `cargo build -p server --bin starling`")
    return binary


def end_by_exception() -> None:
    """Told to end, the program does so by an exception, so that what it started and wrote goes with it. Only once: a
    second signal must not keep it from tidying up.
    """

    def end(number: int, _) -> None:
        for each in told:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    told = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
    for each in told:
        signal.signal(each, end)
