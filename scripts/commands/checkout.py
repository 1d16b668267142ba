"""The world `anywhere`: a copy of the repository, so that no command writes into the one that there is."""

import filecmp
import os
import shutil
import time
from pathlib import Path

from failure import Failure
from pages import Block
from world import World

LEFT_OUT = shutil.ignore_patterns(".git", "target", "node_modules")


class Checkout(World):
    def start(self) -> None:
        self.work.rmdir()
        shutil.copytree(self.root, self.work, symlinks=True, ignore=LEFT_OUT)
        self.copied = time.time()

    def after(self, block: Block) -> None:
        """What a command writes anew is what is checked in, or nobody ran it after a change."""
        for folder, _, names in os.walk(self.work):
            for path in (Path(folder) / name for name in names):
                original = self.root / path.relative_to(self.work)
                if path.lstat().st_mtime < self.copied or not original.exists():
                    continue
                if not filecmp.cmp(path, original, shallow=False):
                    raise Failure(f"it wrote another {path.relative_to(self.work)} than there is")
