"""The world `postgres`: a cluster whose people chat, and a new PostgreSQL server, as an operator has who sets one up or
moves to it.

`createuser`, `createdb` and the like find the new server; $DATABASE_URL is the cluster's. When the page has begun a new
epoch on what was restored, a server is started on it, and Ann must find there what she had when it was dumped.
"""

import shutil
import subprocess

from cluster import Cluster
from failure import Failure
from pages import Block
from people import Chat
from private_postgres import PrivatePostgres
from serving import Serving
from world import PATIENCE, World

PASSWORD = "of-the-role-starling"
# So that the old server's transactions have numbers that the new one has not reached: it has been in use for a while.
USED = "DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


class Servers(World):
    def start(self) -> None:
        self.postgres = self.ends.enter_context(PrivatePostgres(self.root, self.folder / "postgres"))
        self.cluster = self.ends.enter_context(Cluster(self.root, self.binary))
        self.old = self.cluster.env["DATABASE_URL"]
        psql = [self.postgres.programs / "psql", self.old, "-Xqc", USED]
        subprocess.run(psql, check=True, capture_output=True, timeout=PATIENCE)
        self.chat = Chat(self.cluster.env["URL"])
        self.kept: list[tuple] = []
        # What it installs goes into folders here.
        shutil.copytree(self.root / "deploy" / "systemd", self.work / "deploy" / "systemd")
        self.local, self.units, self.etc = (self.folder / name for name in ("local", "units", "etc"))
        self.local.mkdir()
        self.units.mkdir()
        at = f"127.0.0.1:{self.postgres.port}"
        self.table = {
            "starling:…@10.0.0.10/": f"starling:{PASSWORD}@{at}/",
            "target/dist/starling": str(self.binary),
            "/usr/local/bin/": f"{self.local}/",
            "/etc/systemd/system/": f"{self.units}/",
            "/etc/starling/": f"{self.etc}/",
        }
        self.typed = {"createuser --pwprompt": f"{PASSWORD}\n{PASSWORD}"}
        self.new = f"postgres://starling:{PASSWORD}@{at}"

    @property
    def env(self) -> dict[str, str]:
        env = super().env
        path = f"{self.local}:{env['PATH']}:{self.postgres.programs}"
        return env | self.postgres.env | {"PATH": path, "DATABASE_URL": self.old}

    def run(self, command: str) -> tuple[int, str]:
        code, output = super().run(command)
        if code == 0 and "starling.env" in command and command.startswith("install"):
            self.edit()
        return code, output

    def before(self, block: Block) -> None:
        if "starling check" in "\n".join(block.text):
            self.migrate()

    def edit(self) -> None:
        """The file of settings, as the page tells: with one's own addresses and secrets."""
        file = self.etc / "starling.env"
        settings = {
            # Every character that a shell would take for its own, were it not in quotes.
            "DATABASE_URL": f"{self.new}/starling?sslmode=prefer&application_name=$a;b",
            "REDIS_URL": self.cluster.env["REDIS_URL"],
            "STARLING_JWT_SECRET": self.cluster.env["STARLING_JWT_SECRET"],
            "STARLING_ADMIN_TOKEN": self.cluster.env["STARLING_ADMIN_TOKEN"],
        }
        lines = file.read_text(encoding="utf-8").splitlines()
        named = [line.partition("=")[0] for line in lines]
        if missing := settings.keys() - set(named):
            raise Failure(f"starling.env does not have {', '.join(sorted(missing))}")
        # In the quotes that are there.
        edited = [f"{name}='{settings[name]}'" if name in settings else line for name, line in zip(named, lines)]
        file.write_text("\n".join(edited) + "\n", encoding="utf-8")

    def migrate(self) -> None:
        """What `systemctl start starling-migrate` does."""
        command = [self.binary, "migrate"]
        env = super().env | {"DATABASE_URL": f"{self.new}/starling"}
        told = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
        if told.returncode != 0:
            raise Failure(f"starling migrate: {told.stderr}")

    def after(self, block: Block) -> None:
        text = "\n".join(block.text)
        if "pg_dump" in text:
            self.kept = self.chat.messages()
            self.chat.say("Not in the dump")
        if "new-epoch" in text:
            self.compare()

    def compare(self) -> None:
        settings = {
            "DATABASE_URL": f"{self.new}/starling",
            # Beside nodes that are on the old database.
            "STARLING_REDIS_PREFIX": "restored:",
            "STARLING_LISTEN": "127.0.0.1:0",
            "STARLING_ADMIN_LISTEN": "",
            "STARLING_LOG": "warn",
        }
        shared = {name: self.cluster.env[name] for name in ("REDIS_URL", "STARLING_JWT_SECRET")}
        server = Serving("starling serve", super().env | shared | settings, self.work, self.folder / "server.log")
        try:
            self.chat.url, url = server.url, self.chat.url
            found = self.chat.messages()
            self.chat.url = url
        finally:
            server.end()
        if found != self.kept:
            raise Failure(f"when it was dumped there was {self.kept}, and after the restore {found}")

    def log(self) -> str:
        return self.postgres.log.read_text(encoding="utf-8", errors="replace")[-2000:]
