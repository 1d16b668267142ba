"""Runs the steps of docs/guide.md against a server of its own, and writes the page or compares it.

    python3 -B scripts/guide write     writes docs/guide.md from template.md, with the answers of this run
    python3 -B scripts/guide check     runs every step again and ends with 1 when the page shows other answers

STARLING_BIN names another binary than target/debug/starling. Needs Python 3.10, bash and curl, nothing else.
"""

import difflib
import os
import sys
import tempfile
from pathlib import Path

from normal import Normal
from server import Server
from show import Json
from steps import Failure, Steps

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "guide.md"


def main() -> int:
    if sys.argv[1:] not in (["write"], ["check"]):
        print(__doc__, file=sys.stderr)
        return 2
    binary = Path(os.environ.get("STARLING_BIN") or ROOT / "target" / "debug" / "starling").resolve()
    try:
        page = run(binary)
    except Failure as failure:
        print(f"scripts/guide: {failure}", file=sys.stderr)
        return 1
    if sys.argv[1] == "write":
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    shown = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if shown == page:
        print("docs/guide.md shows what the server answers")
        return 0
    names = "docs/guide.md", "this run"
    sys.stderr.writelines(difflib.unified_diff(shown.splitlines(True), page.splitlines(True), *names))
    print("docs/guide.md is not what the server answers: 'make generate-guide' writes it anew", file=sys.stderr)
    return 1


def run(binary: Path) -> str:
    """The page of one run."""
    template = (HERE / "template.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="starling-guide.") as folder:
        with Server(binary, Path(folder)) as server, Steps(server) as steps:
            parts = steps.page(template)
            normal = Normal(steps.names, server.url).text
            return "".join(part.text(normal) if isinstance(part, Json) else normal(part) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
