"""What docs/operations.md and docs/admin.md have operators run in a node's container: it is run in the pods here."""

import shlex

import pods
from report import ROOT, Problem

PAGES = ("docs/operations.md", "docs/admin.md")
COMPOSE = "docker compose exec gateway-1 "
KUBERNETES = "kubectl -n starling exec deployment/starling-gateway -- "
PATIENCE = 30  # seconds


def run(prefix: str, pod: pods.Pod) -> None:
    """A `Problem` with what was said, unless each of the pages' commands that begin so ends with 0."""
    lines = [line for page in PAGES for line in (ROOT / page).read_text().splitlines()]
    commands = {line.removeprefix(prefix).split("  #")[0].strip() for line in lines if line.startswith(prefix)}
    if not commands:
        raise Problem(f"no page has a line that begins with {prefix}")
    for command in sorted(commands):
        code, said = pod.ask(shlex.split(command), PATIENCE)
        if code != 0:
            raise Problem(f"{command} ended with {code}: {said}")
