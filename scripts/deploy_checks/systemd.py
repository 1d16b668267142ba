"""deploy/systemd: systemd itself reads the units; they stop late enough, and are as shut in as they were.

`files.systemd` holds the file of settings against the binary.
"""

import re
import shutil
import tempfile
from pathlib import Path

from report import ROOT, Problem, Report, run, starling
from roles import END, NODES, check_process, seconds

HERE = ROOT / "deploy/systemd"
# What `systemd-analyze security` may say, in tenths: 1.1 of 10 is for being on the network at all.
EXPOSURE = 12
# From here to the end of the section both services have the same lines.
SHUT_IN = "# --- What it may do."


def check(report: Report) -> None:
    with report.check("deploy/systemd: a stop takes longer than a drain and its end"):
        check_stop()
    with report.check("deploy/systemd: the units name commands that there are"):
        for unit in HERE.glob("*.service"):
            for command in re.findall(r"^ExecStart=/usr/local/bin/starling (.*)$", unit.read_text(), re.MULTILINE):
                for role in NODES if command == "%i" else [command]:
                    run(starling(), *role.split(), "--help")
    with report.check("deploy/systemd: nodes that are waited for can say that they are there"):
        waits = "\nType=notify\n" in (HERE / "starling@.service").read_text()
        if waits != ("sd-notify" in (ROOT / "crates/server/Cargo.toml").read_text()):
            raise Problem("Type= and the server's dependency on sd-notify do not fit together")
    with report.check("deploy/systemd: all services are shut in alike"):
        parts = {unit.name: shut_in(unit) for unit in HERE.glob("*.service")}
        if len(set(parts.values())) != 1:
            raise Problem(f"{' and '.join(parts)} differ")
    with report.check("deploy/systemd: migrations have their time, and may have a role of their own"):
        check_migrate()
    if shutil.which("systemd-analyze") is None:
        report.skip("deploy/systemd by systemd-analyze, because there is none")
        return
    with tempfile.TemporaryDirectory() as folder:
        for unit in sorted(HERE.glob("*.*")):
            if unit.suffix == ".env":
                continue
            # systemd wants the program to be there, and an instance of a template.
            copy = Path(folder) / unit.name.replace("@.", "@gateway.")
            copy.write_text(unit.read_text().replace("/usr/local/bin/starling", str(starling())))
        for unit in sorted(Path(folder).iterdir()):
            with report.check(f"systemd-analyze verify deploy/systemd/{unit.name}"):
                # What it ignores it merely says: any word about our files is a problem.
                said = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, stderr=True)
                if lines := [line for line in said.splitlines() if folder in line or unit.name in line]:
                    raise Problem("\n".join(lines))
            if unit.suffix == ".service":
                with report.check(f"systemd-analyze security deploy/systemd/{unit.name}"):
                    run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit)


def check_stop() -> None:
    text = (HERE / "starling@.service").read_text()
    found = re.search(r"^TimeoutStopSec=(\w+)$", text, re.MULTILINE)
    lines = (HERE / "starling.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = check_process(["migrate"], {**environment, "STARLING_JWT_SECRET": "x" * 32})
    drain = seconds(settings["STARLING_DRAIN_WINDOW"])
    if found is None or seconds(found[1]) < drain + END:
        raise Problem(f"TimeoutStopSec is too short for a drain of {drain} s and its end, {END} s")


def check_migrate() -> None:
    text = (HERE / "starling-migrate.service").read_text()
    # Of two files the last one counts; "-": it may be absent.
    files = re.findall(r"^EnvironmentFile=(.*)$", text, re.MULTILINE)
    if files != ["/etc/starling/starling.env", "-/etc/starling/migrate.env"]:
        raise Problem("starling-migrate.service does not read /etc/starling/migrate.env last")
    if "migrate.env" in (HERE / "starling@.service").read_text():
        raise Problem("nodes read the owner's file")
    if "\nTimeoutStartSec=1day\n" not in text:
        raise Problem("starling-migrate.service is ended before it could build a large index")


def shut_in(unit: Path) -> str:
    text = unit.read_text()
    if SHUT_IN not in text:
        raise Problem(f"{unit.name} does not say what it may do")
    return text.split(SHUT_IN, 1)[1].split("\n", 1)[1].split("\n[", 1)[0].strip()
