"""How long a node may take to end: what the deployments wait for before they kill it."""

import re

from report import ROOT, Problem, Report
from roles import seconds

# Beside its drain window and one request, seconds: the sum of the deadlines below.
END = 33
SERVE = "crates/server/src/serve/mod.rs"
CONSTANT = r"^const {}: Duration = Duration::from_secs\((\d+)\);$"
DEADLINES = [
    *((SERVE, CONSTANT.format(name)) for name in ("DRAIN_GRACE", "WRITER_END", "GOODBYE", "STORE_END")),
    (SERVE, r"node\.request_timeout \+ Duration::from_secs\((\d+)\)"),
    # The runtime, and the last spans of traces.
    ("crates/server/src/commands/node.rs", CONSTANT.format("LAST")),
    ("crates/server/src/telemetry/mod.rs", CONSTANT.format("FLUSH")),
]
STEPS = 5  # of `serve`, each with one of them
PAGE = "docs/deploy.md"


def check(report: Report) -> None:
    with report.check(f"the deadlines of a node's end are those that the files here wait for, and {PAGE} says so"):
        found = [re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE) for file, pattern in DEADLINES]
        steps = re.findall(r"^ +within\(", (ROOT / SERVE).read_text(), re.MULTILINE)
        if any(len(each) != 1 for each in found) or len(steps) != STEPS:
            raise Problem("a node ends in other steps than those that are added up here")
        if (together := sum(int(each[0]) for each in found)) != END:
            raise Problem(f"they are {together} s together, and here stands {END}")
        if f"`STARLING_DRAIN_WINDOW` + `STARLING_REQUEST_TIMEOUT` + {END} s" not in (ROOT / PAGE).read_text():
            raise Problem(f"{PAGE} has another sum than the window, a request and {END} s")


def latest_end(settings: dict[str, str]) -> float:
    """How long after SIGTERM a node with these settings has ended, seconds."""
    return seconds(settings["STARLING_DRAIN_WINDOW"]) + seconds(settings["STARLING_REQUEST_TIMEOUT"]) + END
