"""What the images bring along that docker-compose.yml and k8s/ name: ours by deploy/Dockerfile, the others by this
machine's programs and what their images' entrypoints are known to do.
"""

import os
import re
import shlex
from pathlib import Path

from report import ROOT, Problem, run, starling

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Image:
    """What runs, as whom (`uid:gid`) and where; `folders` and `binds` as of a `Pod`."""

    command: list[str]
    user = "65534:65534"
    workdir = "/"
    environment = {"PATH": PATH}
    folders: dict[str, str] = {}
    binds: dict[str, Path] = {}


class Starling(Image):
    """deploy/Dockerfile's last stage."""

    def __init__(self, arguments: list[str]) -> None:
        text = (ROOT / "deploy/Dockerfile").read_text()
        text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        stage = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[-1]
        lines = [line.split(maxsplit=1) for line in stage.splitlines() if line.strip()]
        said = {word: rest for word, rest in lines if word in ("USER", "WORKDIR", "ENV", "ENTRYPOINT", "HEALTHCHECK")}
        if len(said) != 5:
            raise Problem(f"deploy/Dockerfile says only {', '.join(said)}")
        self.user, self.workdir = said["USER"], said["WORKDIR"]
        self.command = [*words(said["ENTRYPOINT"]), *arguments]
        self.environment = {"PATH": PATH} | dict(pair.split("=", 1) for pair in shlex.split(said["ENV"]))
        self.health = words(said["HEALTHCHECK"].partition("CMD")[2])
        volume = re.search(r"^VOLUME (\S+)", stage, re.MULTILINE)
        # A volume of the image is writable where the root is not.
        self.folders = {volume[1]: owned(self.user)} if volume else {}
        self.binds = {"/usr/local/bin/starling": starling()}


def words(text: str) -> list[str]:
    """The exec form: `["a", "b"]`."""
    found = re.findall(r'"([^"]*)"', text)
    if not text.strip().startswith("[") or not found:
        raise Problem(f"{text!r} is not in exec form: a shell would be process 1")
    return found


def owned(user: str) -> str:
    """tmpfs' options for a folder of this user."""
    uid, _, gid = user.partition(":")
    return f"mode=0755,uid={uid},gid={gid or uid}"


class Postgres(Image):
    """A server that was set up as its image does on the first start: a user with a password, and a database."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        programs = run(ROOT / "scripts/postgres-bin").strip()
        uid, gid = (int(run("id", flag, "postgres")) for flag in ("-u", "-g"))
        name, password = environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"]
        data = folder / "postgres-data"
        data.mkdir()
        os.chown(data, uid, gid)
        secret = folder / "postgres-password"
        secret.write_text(password)
        as_owner = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        secret.chmod(0o644)
        make = [f"{programs}/initdb", "-D", data, "-U", name, "-A", "scram-sha-256", f"--pwfile={secret}"]
        run(*as_owner, *make, "-E", "UTF8", "--no-locale", "--no-sync")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        database = f'CREATE DATABASE "{environment["POSTGRES_DB"]}"\n'
        run(*as_owner, f"{programs}/postgres", "--single", "-D", data, "postgres", text_in=database)
        place = environment.get("PGDATA", "/var/lib/postgresql/data")
        self.user = f"{uid}:{gid}"
        self.command = ["postgres", "-D", place, "-c", "listen_addresses=*"]
        self.environment = {"PATH": f"{programs}:{PATH}", **environment}
        # Its socket is where its Debian package looks for it.
        self.folders = {"/var/run/postgresql": owned(self.user)}
        self.binds = {place: data}


class Redis(Image):
    """Its image turns the protected mode off."""

    def __init__(self, command: list[str]) -> None:
        self.command = [*command, "--protected-mode", "no"]


class Nginx(Image):
    """Its entrypoint leaves commands that are not nginx itself alone."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
