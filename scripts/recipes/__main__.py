"""Runs the recipes of docs/load-testing.md, and writes what they printed into the page or compares its shape.

    python3 -B scripts/recipes write     each block ```console gets the output of this run
    python3 -B scripts/recipes check     runs each again; ends with 1 when one fails or prints other rows

Commands that name $URL, and those with --chaos, have the cluster of scripts/cluster; the others need nothing. Figures,
what went wrong on the way (`errors`, `closes`) and the deeds of --chaos are not compared: they are of one run.

STARLING_BIN names another binary than target/debug/starling. Needs Python 3.10 and what scripts/cluster needs.
"""

import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, Failure, end

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "load-testing.md"
BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
PATIENCE = 240  # seconds that one recipe may take
# A row is what it is called: behind it come figures.
FIGURE = re.compile(r"(?<![\w-])-?\d[\w.,:/-]*")
# What went wrong on the way, and what was wrong after which deed of `--chaos`: how many fit into a run is a matter of
# speed.
OF_ONE_RUN = re.compile(r"  errors |  closes |    |.*NEVER SENT")


def main() -> int:
    if sys.argv[1:] not in (["write"], ["check"]):
        print(__doc__, file=sys.stderr)
        return 2
    binary = Path(os.environ.get("STARLING_BIN") or ROOT / "target" / "debug" / "starling").resolve()
    shown = PAGE.read_text(encoding="utf-8")
    try:
        page = run(binary, shown)
    except Failure as failure:
        print(f"scripts/recipes: {failure}", file=sys.stderr)
        return 1
    if sys.argv[1] == "write":
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    rows = [[shape(line) for line in blocks(text) if not OF_ONE_RUN.match(line)] for text in (shown, page)]
    if rows[0] == rows[1]:
        print("each recipe of docs/load-testing.md prints the rows that it shows")
        return 0
    different = difflib.unified_diff(*rows, "docs/load-testing.md", "this run", lineterm="")
    sys.stderr.writelines(f"{line}\n" for line in different)
    print("docs/load-testing.md shows other rows: 'make generate-guide' writes it anew", file=sys.stderr)
    return 1


def blocks(text: str) -> list[str]:
    return [line for block in BLOCK.findall(text) for line in block.splitlines()]


def shape(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"load-[0-9a-f-]+", "RUN", line)
    return re.sub(r"\s+", " ", FIGURE.sub("N", line)).strip() if not line.startswith("$ ") else line


def run(binary: Path, page: str) -> str:
    """The page with the outputs of this run."""
    if not binary.is_file():
        raise Failure(f"{binary} is not there: 'make build' makes it")
    with tempfile.TemporaryDirectory(prefix="starling-recipes.") as folder, Cluster(ROOT, binary) as cluster:
        work, programs = Path(folder) / "work", Path(folder) / "bin"
        work.mkdir()
        programs.mkdir()
        program = programs / "starling-load"
        program.write_text(f'#!/bin/sh\nexec "{binary}" load "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        alone = {"PATH": path, "HOME": folder, "LANG": "C.UTF-8", "STARLING_BIN": str(binary)}

        def printed(match: re.Match) -> str:
            commands = [line for line in match[0].splitlines() if line.startswith("$ ")]
            return "".join(output(command, alone, cluster.env, work) for command in commands)

        return BLOCK.sub(printed, page)


def output(command: str, alone: dict[str, str], cluster: dict[str, str], work: Path) -> str:
    """The command's line and what it printed."""
    env = alone | cluster if "$URL" in command or "--chaos" in command else alone
    line = command.removeprefix("$ ")
    loads = not re.search(r"--(compare|print-mix|quiet)", line)
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line} --quiet" if loads else line],
        env=env,
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"`{line}` took longer than {PATIENCE} s") from late
    finally:
        # Told so, it ends the nodes that it started.
        end(process)
    if process.returncode != 0:
        raise Failure(f"`{line}` ended with {process.returncode}:\n{said}")
    print(f"ran: {line}", flush=True)
    return f"{command}\n{said}"


if __name__ == "__main__":
    # By an exception, so that what runs is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
