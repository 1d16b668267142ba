"""Starts what the deployment files start, as real processes, and chats with it. Needs root on Linux; elsewhere it says so.

    scripts/check-deploy run
"""

import sys
import tempfile
from pathlib import Path

import pods
import run_compose
import run_kubernetes
from report import Report, end_by_exception


def main() -> int:
    report = Report()
    if why := pods.cannot_run():
        report.skip(f"the deployment files with real processes, because {why}")
        return report.close()
    with tempfile.TemporaryDirectory(prefix="starling-pods.", dir=pods.temporary()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        network = pods.Network(folder)
        try:
            for part in (run_compose, run_kubernetes):
                network.folder = folder / part.__name__
                network.folder.mkdir()
                network.hosts = network.folder / "hosts"
                try:
                    part.check(report, network)
                finally:
                    network.end()
        finally:
            network.end()
    return report.close()


if __name__ == "__main__":
    end_by_exception()
    sys.exit(main())
