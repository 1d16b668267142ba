"""Containers of a kind where there is no container runtime: a process 1 in namespaces of its own (network, mounts,
processes), on a root of its own (an overlay of this machine's, read-only if asked for), without a right that it was not
given, all on one bridge.

They live below a network and a mount namespace that this process enters: when it ends, however it ends, they are gone.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from report import Problem, run

NEWNS, NEWNET = 0x00020000, 0x40000000  # of unshare(2)
PREFIX = "10.0.0."  # the addresses that the examples in deploy/ have
OURS = f"{PREFIX}254"
# The bridge's own address on its links, and ours: it would take one of its links', and another one when that link goes.
# Whoever was just answering us would send to the old one for half a minute.
LINK_ADDRESS = "02:00:00:00:00:fe"
MOMENT = 20  # seconds that a part of setting up may take

# As root, in the new namespaces: the root, then the program. `read` waits until the network is there. Paths are looked up
# inside of the root: links in it may point to the machine's own folders.
SETUP = r"""
set -e
read -r _
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$POD/upper,workdir=$POD/work" "$POD/root"
cd "$POD/root"
mount -t proc proc proc
mount --rbind /dev dev
inside() { echo "$POD/root$(chroot "$POD/root" readlink -m "$1")"; }
for bind in $BINDS; do
  source=${bind%%:*} target=$(inside "${bind#*:}")
  if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}" && touch "$target"; fi
  mount --bind "$source" "$target"
done
for folder in $FOLDERS; do
  target=$(inside "${folder%%:*}")
  mkdir -p "$target"
  mount -t tmpfs -o "${folder#*:}" tmpfs "$target"
done
[ "$READ_ONLY" = no ] || mount -o remount,ro "$POD/root"
exec chroot "$POD/root" "$@"
"""


def cannot_run() -> str | None:
    """Why there can be no pods here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it takes root on Linux"
    if missing := [name for name in ("ip", "unshare", "nsenter", "setpriv") if not shutil.which(name)]:
        return f"there is no {missing[0]}"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, timeout=MOMENT)
    return f"this machine allows no namespaces ({tried.stderr.strip()})" if tried.returncode else None


class Network:
    """A bridge in a network namespace of this process alone, which it enters for good."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEWNS | NEWNET) != 0:
            raise Problem(f"unshare: {os.strerror(ctypes.get_errno())}")
        run("mount", "--make-rprivate", "/")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pods", "address", LINK_ADDRESS, "type", "bridge")
        run("ip", "address", "add", f"{OURS}/24", "dev", "pods")
        run("ip", "link", "set", "pods", "up")
        self.folder, self.pods, self.links = folder, [], 0
        self.hosts = folder / "hosts"

    def know(self, names: dict[str, str]) -> None:
        """Names that every pod looks up, with their addresses."""
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in names.items())]
        self.hosts.write_text("\n".join([*lines, ""]))

    def pod(self, name: str, number: int, **more) -> "Pod":
        pod = Pod(self, name, f"{PREFIX}{number}", **more)
        self.pods.append(pod)
        return pod

    def end(self) -> None:
        """Ends what runs, and forgets it."""
        for pod in self.pods:
            pod.kill()
        self.pods.clear()


@dataclass
class Pod:
    """`user` is `uid:gid`. `binds`: paths of this machine, by their place inside. `folders`: empty ones in memory, by
    their place, with tmpfs' options.
    """

    network: Network
    name: str
    address: str
    command: list[str]
    environment: dict[str, str]
    user: str
    binds: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    read_only: bool = False
    workdir: str = "/"
    process: subprocess.Popen | None = None
    link: str | None = None
    starts: int = 0
    # When it was started last, and the start after which it was up by its own probe.
    since: float = 0
    up: int = 0

    @property
    def home(self) -> Path:
        return self.network.folder / self.name

    @property
    def log(self) -> str:
        """The end of what it said."""
        path = self.home / "log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def start(self) -> None:
        """Starts it, on a root that is as new as a container's."""
        self.starts += 1
        self.since = time.monotonic()
        shutil.rmtree(self.home / str(self.starts - 1), ignore_errors=True)
        root = self.home / str(self.starts)
        for part in ("upper", "work", "root"):
            (root / part).mkdir(parents=True)
        log = self.home / "log"
        log.touch()
        log.chmod(0o666)  # a pipe, in a container: /dev/stdout may be opened by who runs there
        binds = {"/etc/hosts": self.network.hosts, **self.binds}
        settings = {
            "POD": str(root),
            "BINDS": " ".join(f"{source}:{target}" for target, source in binds.items()),
            "FOLDERS": " ".join(f"{target}:{options}" for target, options in self.folders.items()),
            "READ_ONLY": "yes" if self.read_only else "no",
        }
        spaces = ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*spaces, "bash", "-c", SETUP, self.name, *self._as_user(self.command)],
                env={"PATH": os.environ["PATH"], **settings},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
        self._join()
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def _as_user(self, command: list[str]) -> list[str]:
        user, _, group = self.user.partition(":")
        # Who becomes another user is no longer killed with its parent, unless it says so again.
        less = ["--pdeathsig=KILL", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["setpriv", f"--reuid={user}", f"--regid={group or user}", *less, "env", "-i", "-C", self.workdir, *variables, *command]

    def _join(self) -> None:
        """Puts it on the bridge, in place of its last link."""
        self._part()
        self.network.links += 1
        first, self.link = self.first(), f"pod{self.network.links}"
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(first))
        run("ip", "link", "set", self.link, "master", "pods", "up")
        inside = ["nsenter", f"--net=/proc/{first}/ns/net", "ip"]
        run(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            run(*inside, "link", "set", name, "up")

    def _part(self) -> None:
        """Takes it off the bridge. By itself its link goes with the last of its sockets, which may wait a minute for
        somebody's answer; until then it would answer for its address, which another one may have by now.
        """
        if self.link is not None:
            subprocess.run(["ip", "link", "del", self.link], capture_output=True, timeout=MOMENT, check=False)
            self.link = None

    def first(self) -> int:
        """The process that is number 1 inside, as this machine counts."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + MOMENT
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.01)
        raise Problem(f"{self.name} did not come up:\n{self.log}")

    def ask(self, command: list[str], seconds: float) -> tuple[int, str]:
        """Runs a command inside, as its user: the exit code and what it said."""
        spaces = ["nsenter", f"--target={self.first()}", "--net", "--mount", "--pid", "--root", "--wd"]
        try:
            done = subprocess.run(
                [*spaces, *self._as_user(command)], capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return 124, f"did not end within {seconds} s"
        return done.returncode, done.stdout + done.stderr

    def ended(self) -> int | None:
        """The exit code of what has ended."""
        return self.process.poll()

    def stop(self, grace: float) -> int:
        """SIGTERM to number 1, as a runtime does: the exit code. A `Problem` when it takes longer than it may."""
        os.kill(self.first(), signal.SIGTERM)
        return self.wait(grace)

    def wait(self, seconds: float) -> int:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Problem(f"{self.name} did not end within {seconds:.0f} s:\n{self.log}") from None
        self._part()
        return code

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            # With number 1 all others inside are killed, and only then its parent ends.
            os.kill(self.first(), signal.SIGKILL)
            self.process.wait(MOMENT)
        self._part()
        # What was mounted below is gone with the namespace; the files of an overlay's work folder are root's alone.
        shutil.rmtree(self.home, ignore_errors=True)


def until(what: str, seconds: float, check, pods: list[Pod]) -> None:
    """Asks until it is so. A `Problem` with the last answer and the pods' logs when it does not become so in time."""
    deadline = time.monotonic() + seconds
    said = ""
    while time.monotonic() < deadline:
        done, said = check()
        if done:
            return
        time.sleep(0.1)
    raise Problem(f"not within {seconds:.0f} s: {what}: {said}\n{logs(pods)}")


def logs(pods: list[Pod]) -> str:
    return "\n".join(f"---- {pod.name}\n{pod.log}" for pod in pods)


@contextmanager
def told(network: Network):
    """What all pods said last, beside why people could not chat."""
    try:
        yield
    except Exception as why:
        raise Problem(f"{why}\n{logs(network.pods)}") from why


def temporary() -> str:
    """Where roots may be: every user of a pod must get into it, and an overlay has no overlay below it."""
    return os.environ.get("TMPDIR", "/tmp")
