"""Shell scripts, the image's Dockerfile, nginx's template, the systemd unit's settings."""

import os
import shutil
import tempfile
from pathlib import Path

from report import ROOT, TOOLS, Problem, Report, run
from roles import check_process

PLACEHOLDERS = {
    "LISTEN": "127.0.0.1:18080",
    "GATEWAYS": "server 127.0.0.1:18081 max_fails=1 fail_timeout=1s; server 127.0.0.1:18082;",
    "APIS": "server 127.0.0.1:18083;",
}


def scripts(report: Report) -> None:
    """shellcheck on everything that a shell runs."""
    for name in sorted(run("git", "ls-files", "-co", "--exclude-standard").splitlines()):
        path = ROOT / name
        if path.is_file() and path.open("rb").readline() in (b"#!/usr/bin/env bash\n", b"#!/bin/sh\n", b"#!/bin/bash\n"):
            with report.check(f"shellcheck {name}"):
                run(TOOLS / "shellcheck", path)
                if not os.access(path, os.X_OK):
                    raise Problem("is not executable")


def dockerfile(report: Report) -> None:
    """hadolint; Debian's versions are not pinned, because a release drops the old ones."""
    with report.check("hadolint deploy/Dockerfile"):
        run(TOOLS / "hadolint", "--ignore", "DL3008", ROOT / "deploy/Dockerfile")
        lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
        last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
        if not any(line.startswith("USER ") and line != "USER root" for line in lines[last:]):
            raise Problem("the last stage runs as root")


def nginx(report: Report) -> None:
    """`nginx -t` on the filled-in template."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        report.skip("deploy/nginx/starling.conf.template, because there is no nginx")
        return
    with report.check("nginx -t deploy/nginx/starling.conf.template"), tempfile.TemporaryDirectory() as folder:
        text = (ROOT / "deploy/nginx/starling.conf.template").read_text()
        for name, value in {**PLACEHOLDERS, "PREFIX_DIR": folder}.items():
            if "${" + name + "}" not in text:
                raise Problem(f"the placeholder {name} is not used")
            text = text.replace("${" + name + "}", value)
        if "${" in text:
            raise Problem("a placeholder is left: " + text[text.index("${") :].split("}")[0] + "}")
        file = Path(folder) / "nginx.conf"
        file.write_text(text)
        run(program, "-t", "-q", "-e", "stderr", "-c", file)


def systemd(report: Report) -> None:
    """The example's settings are settings, once its secret is filled in."""
    with report.check("deploy/systemd/starling.env"):
        lines = (ROOT / "deploy/systemd/starling.env").read_text().splitlines()
        pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
        environment = dict(pairs)
        if environment["STARLING_JWT_SECRET"]:
            raise Problem("holds a secret: people would keep it")
        environment["STARLING_JWT_SECRET"] = "x" * 32
        check_process(["migrate"], environment)
