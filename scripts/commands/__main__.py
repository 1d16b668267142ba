"""Holds the commands of the pages true: each block says how, and what can run here is run.

    python3 -B scripts/commands                  all pages
    python3 -B scripts/commands docs/admin.md    these pages

Behind the language of each fenced block of commands (```sh, ```bash, ```console) stands one of

    in=WORLD             it is run here, line by line, in a world of worlds.py; each line must end with 0, and a
                         ```console block must show what came back
    by=PATH              something else in the repository runs it: this file or folder. It must name the page, or have the
                         commands; whether it does run them is not looked at
    not-here="WHY"       it cannot be run here

GitHub shows the language alone. Commands within a line of text that begin with `starling` are tried with `--help`, and
`make` must name a target of the Makefile.

STARLING_BIN names another binary than target/debug/starling. Needs Python 3.10, and what `scripts/install-deps test`
brings.
"""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The neighbours' shell, WebSocket client and cluster.
sys.path += [str(ROOT / "scripts" / "guide"), str(ROOT / "scripts" / "recipes")]

import inline  # noqa: E402
import worlds  # noqa: E402
from pages import Block, find, read  # noqa: E402
from running import run  # noqa: E402


def main() -> int:
    pages = find(ROOT)
    chosen = sys.argv[1:] or pages
    if unknown := [page for page in chosen if page not in pages]:
        print(f"scripts/commands: no such page: {' '.join(unknown)}\n\n{__doc__}", file=sys.stderr)
        return 2
    binary = Path(os.environ.get("STARLING_BIN") or ROOT / "target" / "debug" / "starling").resolve()
    if not binary.is_file():
        print(f"scripts/commands: {binary} is not there: 'make build' makes it", file=sys.stderr)
        return 1
    blocks: list[Block] = []
    failures: list[str] = []
    for page in chosen:
        found, wrong = read(ROOT, page, worlds.WORLDS)
        blocks += found
        failures += wrong
        failures += inline.wrong(ROOT, page, binary)
    ran = 0
    for page in chosen:
        done, wrong = run(ROOT, binary, [block for block in blocks if block.page == page and block.kind == "in"])
        ran += done
        failures += wrong
    for failure in failures:
        print(failure, file=sys.stderr)
    by, not_here = (sum(block.kind == kind for block in blocks) for kind in ("by", "not-here"))
    print(f"blocks of commands: {ran} were run, {by} are run by others, {not_here} are not run here")
    return 1 if failures else 0


if __name__ == "__main__":
    # By an exception, so that what runs is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
