#!/usr/bin/env python3
"""Writes the dashboards in dashboards/ from boards/. Needs Python 3.10 and nothing else.

    deploy/grafana/generate.py            writes them anew
    deploy/grafana/generate.py --check    says whether they are current, and ends with 1 when not
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from boards import messages, node, overview, stores  # noqa: E402

FOLDER = Path(__file__).resolve().parent / "dashboards"
BOARDS = {
    "starling-cluster.json": overview.board,
    "starling-node.json": node.board,
    "starling-messages.json": messages.board,
    "starling-stores.json": stores.board,
}


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wanted = {name: json.dumps(board(), indent=2, ensure_ascii=False) + "\n" for name, board in BOARDS.items()}
    if sys.argv[1:] == []:
        FOLDER.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    old = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    for name in old:
        print(f"dashboards/{name} is not what boards/ says: deploy/grafana/generate.py writes it anew", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
