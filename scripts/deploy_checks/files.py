"""Shell scripts, the image's Dockerfile and how it is run, nginx's template, the systemd unit's settings."""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from ending import latest_end
from report import ROOT, TOOLS, Problem, Report, run, starling
from roles import check_process

PLACEHOLDERS = {
    "LISTEN": "127.0.0.1:18080",
    "GATEWAYS": "server 127.0.0.1:18081 max_fails=0; server 127.0.0.1:18082 max_fails=0;",
    "APIS": "server 127.0.0.1:18083 max_fails=1 fail_timeout=1s; server 127.0.0.1:18083 max_fails=0 backup;",
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
    with report.check("docs/deploy.md: what `docker run` starts is given the time that it may take to end"):
        # `migrate` reads the settings of all roles, with what they are unless set.
        alone = {"DATABASE_URL": "postgres://x@x/x", "REDIS_URL": "redis://x", "STARLING_JWT_SECRET": "x" * 32}
        end = latest_end(check_process(["migrate"], alone))
        commands = re.findall(r"^docker run .*$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
        given = [re.search(r" --stop-timeout (\d+) ", command) for command in commands]
        if not commands or not all(found and int(found[1]) >= end for found in given):
            raise Problem(f"without --stop-timeout {end:.0f} or more `docker stop` kills it after ten seconds")


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
    """The example's settings are settings, once its secret is filled in; and those of the embedded server without two."""
    with report.check("deploy/systemd/starling.env"):
        environment = settings_of(ROOT / "deploy/systemd/starling.env")
        if environment["STARLING_JWT_SECRET"]:
            raise Problem("holds a secret: people would keep it")
        check_process(["migrate"], {**environment, "STARLING_JWT_SECRET": "x" * 32})
    with report.check("deploy/systemd/starling.env without DATABASE_URL and REDIS_URL is the embedded server's"):
        for name in ("DATABASE_URL", "REDIS_URL"):
            del environment[name]
        env = {"PATH": "/usr/bin:/bin", "STARLING_DATA_DIR": "/var/lib/starling", **environment}
        if (mode := json.loads(run(starling(), "config", "--json", env=env))["mode"]) != "embedded":
            raise Problem(f"it runs in {mode} mode")


def settings_of(file: Path) -> dict[str, str]:
    """A file of settings that systemd and a shell read alike: each value in single quotes."""
    settings = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            found = re.fullmatch(r"([A-Z_]+)='([^']*)'", line)
            if found is None:
                raise Problem(f"line {number} is not NAME='value'")
            settings[found[1]] = found[2]
    said = run("bash", "-c", 'set -a; . "$1"; env -0', "bash", file, env={"PATH": "/usr/bin:/bin"})
    read = dict(pair.split("=", 1) for pair in said.split("\0") if pair)
    if wrong := [name for name, value in settings.items() if read.get(name) != value]:
        raise Problem(f"a shell reads {', '.join(wrong)} differently")
    return settings
