"""k8s/overlays/redis-cluster: its scripts on six real servers, as its pods would run them; and that its parts name each
other rightly.

Each pod is a server on an address of this machine (127.x.y.z); a pod that starts anew has another one. Everything ends
with the check, by process id.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from report import ROOT, Problem, Report

HERE = ROOT / "k8s/overlays/redis-cluster"
COUNT = 6
PASSWORD = "a-password"
# Seconds that one step may take on a busy machine.
PATIENCE = 90
# Stands in for a pod's own address (redis-cli alone) and for the names of a headless Service.
REDIS_CLI = """#!/bin/sh
case " $* " in
  *" --cluster "*) exec {real} "$@" ;;
  *" -h "*) shift; host=$1; shift; address=$(getent ahostsv4 "$host"); exec {real} -h "${{address:-$host}}" "$@" ;;
  *) exec {real} -h "$POD_IP" "$@" ;;
esac
"""
# A master with two replicas, of which the first is out of its reach; it writes down what it was asked to do.
MASTER = """#!/bin/sh
case "$*" in
  "info replication") echo role:master ;;
  "cluster myid") echo me ;;
  "cluster replicas me")
    echo "a 10.0.0.1:6379@16379 slave me 0 1 1 disconnected"
    echo "b 10.0.0.2:6379@16379 slave me 0 1 1 connected" ;;
  *) echo "$*" >>{folder}/asked; exit 1 ;;
esac
"""
GETENT = """#!/bin/sh
sed -n "s/^$2 //p" {folder}/names
"""


def check(report: Report) -> None:
    with report.check("k8s/overlays/redis-cluster: servers, names and the Secret fit together"):
        check_names()
    with report.check("k8s/overlays/redis-cluster: a master that leaves asks a replica that is in touch with it"):
        check_leave()
    if why := cannot_run():
        report.skip(f"the scripts of k8s/overlays/redis-cluster on real servers, because {why}")
        return
    with report.check("k8s/overlays/redis-cluster: a cluster is made, and heals when pods come back elsewhere"):
        with tempfile.TemporaryDirectory() as folder, Pods(Path(folder)) as pods:
            live(pods)


def check_names() -> None:
    documents = {d["kind"]: d for file in ("redis.yaml", "redis-create.yaml") for d in yaml.safe_load_all((HERE / file).read_text())}
    servers, job = documents["StatefulSet"], documents["Job"]
    names = [f"redis-{number}.{servers['spec']['serviceName']}" for number in range(servers["spec"]["replicas"])]
    secret = yaml.safe_load((HERE / "secret.example.yaml").read_text())["stringData"]
    for document in (servers, job):
        for container in document["spec"]["template"]["spec"]["containers"]:
            told = {variable["name"]: variable for variable in container["env"]}
            if told["SERVERS"]["value"].split() != names:
                raise Problem(f"{container['name']} looks for {told['SERVERS']['value']}, and there are {' '.join(names)}")
            key = told["REDISCLI_AUTH"]["valueFrom"]["secretKeyRef"]
            if key["name"] != "starling" or key["key"] not in secret:
                raise Problem(f"{container['name']} reads {key}, which secret.example.yaml does not have")
            if not (HERE / "redis" / Path(container["command"][1]).name).is_file():
                raise Problem(f"{container['name']} runs {container['command'][1]}, which is no file here")
    if servers["spec"]["serviceName"] != documents["Service"]["metadata"]["name"]:
        raise Problem("the servers' Service has another name")
    url = re.fullmatch(r"redis\+cluster://:(.+)@(.+)", secret["REDIS_URL"])
    if url is None or url[1] != secret["REDIS_PASSWORD"]:
        raise Problem("REDIS_URL has no cluster in it, or another password")
    if strangers := [host for host in url[2].split(",") if host not in [f"{name}:6379" for name in names]]:
        raise Problem(f"REDIS_URL names {', '.join(strangers)}")


def check_leave() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("redis-cli", MASTER.format(folder=folder)), ("sleep", "#!/bin/sh\n")):
            (Path(folder) / name).write_text(text)
            (Path(folder) / name).chmod(0o755)
        env = {"PATH": f"{folder}:{os.environ['PATH']}"}
        subprocess.run(["sh", HERE / "redis/leave.sh"], env=env, timeout=PATIENCE, check=True, capture_output=True)
        asked = (Path(folder) / "asked").read_text().strip()
    if asked != "-h 10.0.0.2 cluster failover":
        raise Problem(f"it asks: {asked}")


def cannot_run() -> str | None:
    if sys.platform != "linux":
        return "this system has not the whole of 127.0.0.0/8"
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        return "there is no Redis"
    for port in (6379, 16379):
        with socket.socket() as probe:
            try:
                probe.bind(("127.255.255.1", port))
            except OSError as error:
                return f"port {port} is taken ({error.strerror})"
    return None


def live(pods: "Pods") -> None:
    for number in range(COUNT):
        pods.start(number)
    pods.until("servers answer", lambda: all("PONG" in pods.ask(number, "ping") for number in range(COUNT)))
    pods.script(0, "create.sh")
    pods.until_whole("it is made")
    again = pods.script(0, "create.sh")
    if "already" not in again:
        raise Problem(f"it was made twice:\n{again}")
    # Told to end: another one has taken over before.
    pods.script(0, "leave.sh")
    if "role:master" in pods.ask(0, "info", "replication"):
        raise Problem("a master that was told to leave is one still")
    pods.stop(0)
    pods.start(0)
    pods.until_whole("the one that left is back elsewhere")
    for number in range(COUNT):
        pods.stop(number)
    for number in range(COUNT):
        pods.start(number)
    pods.until_whole("all are back elsewhere")
    # A Job that was ended halfway.
    for number in range(COUNT):
        pods.ask(number, "flushall")
        pods.ask(number, "cluster", "reset", "hard")
    pods.ask(0, "cluster", "addslotsrange", "0", "5000")
    pods.ask(0, "cluster", "meet", pods.addresses[1], "6379")
    pods.script(0, "create.sh")
    pods.until_whole("what was half made is made anew")


class Pods:
    """Servers, each with its `rejoin` beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.net = f"127.{random.randrange(1, 255)}"
        self.starts = 0
        self.addresses: dict[int, str] = {}
        self.processes: dict[int, list[subprocess.Popen]] = {}

    def __enter__(self) -> "Pods":
        programs = self.folder / "bin"
        programs.mkdir()
        texts = {"redis-cli": REDIS_CLI.format(real=shutil.which("redis-cli")), "getent": GETENT.format(folder=self.folder)}
        for name, text in texts.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        return self

    def __exit__(self, *_) -> None:
        for number in self.processes:
            self.stop(number, signal.SIGKILL)

    def start(self, number: int) -> None:
        home = self.folder / str(number)
        for part in ("etc", "run", "data"):
            (home / part).mkdir(parents=True, exist_ok=True)
        self.starts += 1
        self.addresses[number] = f"{self.net}.{self.starts}.{number + 1}"
        names = "".join(f"redis-{other} {address}\n" for other, address in self.addresses.items())
        (self.folder / "names").write_text(names)
        for file in (HERE / "redis").iterdir():
            text = file.read_text().replace("/etc/redis", f"{home}/etc").replace("/run/redis", f"{home}/run")
            (home / "etc" / file.name).write_text(text.replace("dir /data", f"dir {home}/data"))
        with (home / "etc/redis.conf").open("a") as conf:
            conf.write(f"bind {self.addresses[number]}\n")
        with (home / "log").open("a") as log:
            self.processes[number] = [
                subprocess.Popen(
                    ["sh", home / "etc" / script], env=self.env(number), stdout=log, stderr=log, start_new_session=True
                )
                for script in ("start.sh", "rejoin.sh")
            ]

    def stop(self, number: int, how: int = signal.SIGTERM) -> None:
        server, rejoin = self.processes[number]
        for process, with_what in ((rejoin, signal.SIGKILL), (server, how)):
            if process.poll() is None:
                # Its group: a script has children.
                os.killpg(process.pid, with_what)
            process.wait(PATIENCE)

    def env(self, number: int) -> dict[str, str]:
        servers = " ".join(f"redis-{other}" for other in range(COUNT))
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return {"PATH": path, "POD_IP": self.addresses[number], "REDISCLI_AUTH": PASSWORD, "SERVERS": servers, "EVERY": "1"}

    def ask(self, number: int, *command: str) -> str:
        done = subprocess.run(["redis-cli", *command], env=self.env(number), capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout

    def script(self, number: int, name: str) -> str:
        path = self.folder / str(number) / "etc" / name
        with subprocess.Popen(
            ["sh", path], env=self.env(number), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as process:
            try:
                said, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Problem(f"{name} did not end within {PATIENCE} s:\n{process.communicate()[0][-2000:]}") from None
        if process.returncode != 0:
            raise Problem(f"{name} ended with {process.returncode}:\n{said[-2000:]}")
        return said

    def until_whole(self, what: str) -> None:
        """Every server knows all, all slots are served, and every pod is ready."""
        self.until(what, lambda: all(self.is_whole(number) for number in range(COUNT)))

    def is_whole(self, number: int) -> bool:
        info = self.ask(number, "cluster", "info").splitlines()
        ready = subprocess.run(["sh", self.folder / str(number) / "etc/ready.sh"], env=self.env(number), capture_output=True)
        return "cluster_state:ok" in info and f"cluster_known_nodes:{COUNT}" in info and ready.returncode == 0

    def until(self, what: str, holds) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                logs = [f"--- redis-{n}\n{(self.folder / str(n) / 'log').read_text()[-1000:]}" for n in self.processes]
                raise Problem(f"not within {PATIENCE} s: {what}\n{self.ask(0, 'cluster', 'nodes')}\n" + "\n".join(logs))
            time.sleep(0.3)
