"""What carries so many connections: gateways, api nodes, Redis, PostgreSQL, and what is in the way first.

    python3 -B scripts/capacity 100000                        a plan, as Markdown
    python3 -B scripts/capacity 100000 --conversations 20 --rate 0.01 --members 10 --headroom 2
    python3 -B scripts/capacity write                         writes the plans of docs/scaling.md
    python3 -B scripts/capacity check                         ends with 1 where they, a constant or a test is wrong

Constants are in docs/capacity.toml. Wrong input: one line and exit code 2. Python 3.10, nothing else.
"""

import argparse
import difflib
import math
import sys
import unittest
from pathlib import Path

import constants
import page
from constants import Wrong
from plan import BOUNDS, Load


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise Wrong(message)


def number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def arguments(words: list[str]) -> argparse.Namespace:
    parser = Parser(prog="scripts/capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", metavar="CONNECTIONS | write | check")
    for name, least, most, what in BOUNDS[1:]:
        default = getattr(Load, name)
        parser.add_argument(f"--{name}", type=number, default=None, help=f"{what} from {least} to {most} [{default:g}]")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    wanted = arguments(words)
    given = {name: value for name, value in vars(wanted).items() if name != "what" and value is not None}
    if wanted.what in ("write", "check"):
        if given:
            raise Wrong(f"{wanted.what} takes no --{next(iter(given))}: the plans of docs/scaling.md have the defaults")
        return write() if wanted.what == "write" else check()
    try:
        connections = int(wanted.what)
    except ValueError:
        raise Wrong(f"{wanted.what!r} is no number of connections, nor write or check") from None
    print(page.markdown(Load(connections, **given), constants.load()), end="")
    return 0


def write() -> int:
    page.PAGE.write_text(page.filled(page.read(), constants.load()), encoding="utf-8")
    print("wrote the plans of docs/scaling.md")
    return 0


def check() -> int:
    found, shown = constants.load(), page.read()
    wrong = constants.drifted(found) + constants.untold(found, shown)
    computed = page.filled(shown, found)
    if shown != computed:
        lines = shown.splitlines(), computed.splitlines()
        wrong += difflib.unified_diff(*lines, "docs/scaling.md", "docs/capacity.toml says", lineterm="")
        wrong.append("docs/scaling.md shows other plans: 'python3 -B scripts/capacity write' writes them anew")
    tests = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    passed = unittest.TextTestRunner(verbosity=0).run(tests).wasSuccessful()
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
    else:
        print("docs/scaling.md has the plans that docs/capacity.toml gives")
    return 0 if passed and not wrong else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Wrong as wrong:
        print(f"scripts/capacity: {wrong}", file=sys.stderr)
        sys.exit(2)
