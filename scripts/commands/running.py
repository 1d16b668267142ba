"""Runs the blocks of one page, in their order, each in its world. A page has each world for itself."""

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import worlds
from failure import Failure, Lower
from lines import Step, steps_of
from pages import Block

WRONG = (Lower, OSError, KeyError, ValueError, subprocess.SubprocessError)


def run(root: Path, binary: Path, blocks: list[Block]) -> tuple[int, list[str]]:
    """How many blocks did what they show, and why others did not."""
    ran, failures = 0, []
    made: dict[type, worlds.World | None] = {}
    with ExitStack() as ends:
        for block in blocks:
            kind = worlds.WORLDS[block.value]
            try:
                if kind not in made:
                    made[kind] = None  # until it is there
                    folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="starling-commands."))
                    made[kind] = ends.enter_context(kind(root, binary, Path(folder)))
                world = made[kind]
                if world is None:
                    failures.append(f"{block.place}: not run: something before it went wrong")
                    continue
                world.before(block)
                for step in steps_of(block):
                    take(world, block, step)
                world.after(block)
            except WRONG as why:
                # What comes next in this world counts on it.
                made[kind] = None
                failures.append(str(why) if isinstance(why, Failure) and why.placed else f"{block.place}: {why}")
                continue
            ran += 1
            print(f"ran {block.place}", flush=True)
    return ran, failures


def take(world: worlds.World, block: Block, step: Step) -> None:
    try:
        world.take(step)
    except WRONG as why:
        log = world.log()
        told = f"{block.page}:{step.line}: {step.text}\n  {why}" + (f"\nThe end of the log:\n{log}" if log else "")
        raise Failure(told, placed=True) from why
