"""deploy/systemd, and the units of the load balancers: systemd itself reads them; nodes are stopped late enough, and all
are as shut in as they were.

`files.systemd` holds the file of settings against the binary.
"""

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from ending import latest_end
from files import settings_of
from report import ROOT, Problem, Report, run, starling
from roles import NODES, check_process, seconds

HERE = ROOT / "deploy/systemd"
# What `systemd-analyze security` may say, in tenths: 1.1 of 10 is for being on the network at all.
EXPOSURE = 12
# Load balancers listen below port 1024, have certificates of others to read, and set limits of their own.
BALANCER_EXPOSURE = 17
# Beside each load balancer's file, with the file that it is to run; of Caddy a drop-in for the package's unit.
BALANCERS = {
    "deploy/nginx/starling-nginx.service": "/etc/starling/nginx.conf",
    "deploy/haproxy/starling-haproxy.service": "/etc/starling/haproxy.cfg",
}
DROP_IN = "deploy/caddy/starling.conf"
# Stands in for the package's.
CADDY = "[Service]\nType=notify\nExecStart=/bin/true\n"
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
                verify(unit)
            if unit.suffix == ".service":
                with report.check(f"systemd-analyze security deploy/systemd/{unit.name}"):
                    run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit)


def balancers(report: Report) -> None:
    """Each comes back after a reboot and after its end, and runs the file that its README fills in."""
    for name, file in BALANCERS.items():
        unit = ROOT / name
        with report.check(f"{name} runs {file}, as its README installs it"):
            text, page = unit.read_text(), (unit.parent / "README.md").read_text()
            commands = re.findall(r"^Exec(?:StartPre|Start|Reload)=/usr/sbin/\w+ .*$", text, re.MULTILINE)
            if len(commands) != 3 or not all(command.endswith(file) for command in commands):
                raise Problem(f"of its commands {commands} not all are about {file}")
            if file not in page or f"systemctl enable --now {unit.stem}" not in page:
                raise Problem("its README does not say so")
    with report.check("deploy/nginx/logrotate is about the folder and the user of the unit"):
        text, unit = (ROOT / "deploy/nginx/logrotate").read_text(), (ROOT / "deploy/nginx/starling-nginx.service").read_text()
        user, folder = (re.search(rf"^{key}=(.*)$", unit, re.MULTILINE)[1] for key in ("User", "LogsDirectory"))
        if f"\n/var/log/{folder}/*.log {{\n" not in text or f"    su {user} {user}\n" not in text:
            raise Problem(f"the unit writes to /var/log/{folder} as {user}")
        if f"PREFIX_DIR=/var/log/{folder}\n" not in (ROOT / "deploy/nginx/README.md").read_text():
            raise Problem("the README has nginx write elsewhere")
    # It becomes the user that the file names.
    if shutil.which("logrotate") and os.geteuid() == 0:
        with report.check("logrotate -d deploy/nginx/logrotate"), tempfile.TemporaryDirectory() as folder:
            # It wants a file of root's that others cannot write, and says what it ignores.
            copy = Path(folder) / "logrotate"
            copy.write_text((ROOT / "deploy/nginx/logrotate").read_text())
            copy.chmod(0o644)
            if "error:" in (said := run("logrotate", "-d", copy, stderr=True)):
                raise Problem(said)
    else:
        report.skip("deploy/nginx/logrotate by logrotate, because there is none, or this is not root")
    if shutil.which("systemd-analyze") is None:
        report.skip("the units of the load balancers by systemd-analyze, because there is none")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in BALANCERS:
            copy = Path(folder) / Path(name).name
            # systemd wants the program to be there.
            copy.write_text(re.sub(r"/usr/sbin/(nginx|haproxy)", "/bin/true", (ROOT / name).read_text()))
            with report.check(f"systemd-analyze verify {name}"):
                verify(copy)
            with report.check(f"systemd-analyze security {name}"):
                run("systemd-analyze", "security", "--offline=true", f"--threshold={BALANCER_EXPOSURE}", copy)
        with report.check(f"systemd-analyze verify {DROP_IN}"):
            unit = Path(folder) / "caddy.service"
            unit.write_text(CADDY)
            (Path(folder) / "caddy.service.d").mkdir()
            shutil.copy(ROOT / DROP_IN, Path(folder) / "caddy.service.d")
            verify(unit)
            known = set(re.findall(r"\{\$(\w+)", (ROOT / "deploy/caddy/Caddyfile").read_text()))
            named = set(re.findall(r"^#?Environment=(.*)$", (ROOT / DROP_IN).read_text(), re.MULTILINE))
            if strangers := {word.split("=")[0].strip('"') for line in named for word in shlex.split(line)} - known:
                raise Problem(f"the Caddyfile has no {', '.join(sorted(strangers))}")


def verify(unit: Path) -> None:
    # What it ignores it merely says: any word about our files is a problem.
    said = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, stderr=True)
    if lines := [line for line in said.splitlines() if str(unit.parent) in line or unit.name in line]:
        raise Problem("\n".join(lines))


def check_stop() -> None:
    text = (HERE / "starling@.service").read_text()
    found = re.search(r"^TimeoutStopSec=(\w+)$", text, re.MULTILINE)
    environment = settings_of(HERE / "starling.env")
    end = latest_end(check_process(["migrate"], {**environment, "STARLING_JWT_SECRET": "x" * 32}))
    if found is None or seconds(found[1]) < end:
        raise Problem(f"TimeoutStopSec is shorter than the {end} s that a node may take to end")


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
