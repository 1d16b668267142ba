"""What k8s/overlays/production has commented out for who needs it: a copy with all of it. "#" without a blank behind it is
such a line; with one it is a comment.
"""

import re
import shutil
from pathlib import Path

from report import ROOT, Problem

LINE = re.compile(r"^( *)#(?=- |[A-Z])", re.MULTILINE)
# An example, applied by nothing.
UNNAMED = {"kustomization.yaml", "secret.example.yaml"}


def copy(folder: Path) -> Path:
    """In it a copy of k8s/; gives the overlay."""
    shutil.copytree(ROOT / "k8s", folder / "k8s")
    overlay = folder / "k8s/overlays/production"
    for name in ("kustomization.yaml", "config.yaml"):
        text, lines = LINE.subn(r"\1", (overlay / name).read_text())
        if not lines:
            raise Problem(f"{name} has no line that is commented out")
        (overlay / name).write_text(text)
    named = set(re.findall(r"[\w.-]+\.yaml", (overlay / "kustomization.yaml").read_text()))
    if stray := {path.name for path in overlay.iterdir()} - named - UNNAMED:
        raise Problem(f"nothing names {', '.join(sorted(stray))}")
    return overlay
