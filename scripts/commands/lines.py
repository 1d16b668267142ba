"""The lines of a block: commands, what is shown below them, and what goes over a socket.

In ```sh every line is a command; one that ends with a backslash, or whose next line is indented, goes on there. In
```console a command stands behind `$ `, and below it what it printed; after `npx wscat …`, `> ` is what is sent over
the socket, and `< ` what comes next on it; lines of these below each other may come in any order.
"""

from dataclasses import dataclass, field

from pages import Block


@dataclass
class Step:
    line: int
    kind: str  # "run", "send" or "hear"
    text: str
    # What it prints; None where the page shows none of it.
    shown: list[str] | None = field(default=None)


def steps_of(block: Block) -> list[Step]:
    return _console(block) if block.language == "console" else _script(block)


def _script(block: Block) -> list[Step]:
    steps: list[Step] = []
    goes_on = False
    for number, line in enumerate(block.text, block.line + 1):
        if goes_on or (steps and line.startswith((" ", "\t"))):
            steps[-1].text += f"\n{line}"
        elif line.strip() and not line.startswith("#"):
            steps.append(Step(number, "run", line))
        goes_on = line.endswith("\\")
    return steps


def _console(block: Block) -> list[Step]:
    steps: list[Step] = []
    for number, line in enumerate(block.text, block.line + 1):
        if line.startswith("$ "):
            steps.append(Step(number, "run", line[2:], []))
        elif line.startswith("> "):
            steps.append(Step(number, "send", line[2:]))
        elif line.startswith("< ") and steps and steps[-1].kind == "hear":
            steps[-1].text += f"\n{line[2:]}"
        elif line.startswith("< "):
            steps.append(Step(number, "hear", line[2:]))
        elif steps and steps[-1].kind == "run" and steps[-1].text.endswith("\\"):
            steps[-1].text += f"\n{line}"
        elif steps and steps[-1].kind == "run":
            steps[-1].shown.append(line)
    for step in steps:
        while step.shown and not step.shown[-1].strip():
            step.shown.pop()
    return steps
