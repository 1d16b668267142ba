"""Runs every check of the files around the code and prints one line for each.

Promises a non-zero exit code when anything is wrong, and to name what could not be checked here. Changes nothing.
"""

import sys

import balancers
import components
import compose
import ending
import epoch
import files
import kubernetes
import limits
import monitoring
import redis_cluster
import systemd
from report import Report, end_by_exception


def main() -> int:
    report = Report()
    for check in (files.scripts, files.dockerfile, files.nginx, files.systemd, compose.check, kubernetes.check):
        check(report)
    for check in (balancers.haproxy, balancers.caddy, limits.check, ending.check, systemd.check, systemd.balancers):
        check(report)
    for check in (components.check, epoch.check, redis_cluster.check, monitoring.check):
        check(report)
    return report.close()


if __name__ == "__main__":
    end_by_exception()
    sys.exit(main())
