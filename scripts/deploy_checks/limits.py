"""The limits of sign-in in deploy/nginx and deploy/haproxy. They are commented out: switched on as the READMEs say, each
program takes its file, refuses who signs in too often in the shape of a node's errors, and lets everything else by.

No node is needed for that: who gets by is told that none answers.
"""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from report import ROOT, Problem, Report, run

# What the READMEs say, and what it does to a text.
SWITCH, MARK = "sed -i 's/#limit: //' ", "#limit: "
NGINX, HAPROXY = ("deploy/nginx", "starling.conf.template"), ("deploy/haproxy", "haproxy.cfg.template")
# Nobody listens on port 1. HAProxy finds that out by itself, and then does not try.
NOBODY = {
    NGINX: {"GATEWAYS": "server 127.0.0.1:1 max_fails=0;", "APIS": "server 127.0.0.1:1 max_fails=0;"},
    HAPROXY: {"GATEWAYS": "server gateway-1 127.0.0.1:1 check", "APIS": "server api-1 127.0.0.1:1 check"},
}
OFTEN = 70  # sign-ins, more than either lets by at once
PATIENCE = 20  # seconds
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check(report: Report) -> None:
    for place, name, test, serve in (
        (NGINX, "nginx", ["-t", "-q", "-e", "stderr", "-c"], ["-e", "stderr", "-c"]),
        (HAPROXY, "haproxy", ["-c", "-q", "-dW", "-f"], ["-db", "-f"]),
    ):
        program = shutil.which(name) or f"/usr/sbin/{name}"
        if not Path(program).exists():
            report.skip(f"the limits of sign-in in {place[0]}, because there is no {name}")
            continue
        with report.check(f"{'/'.join(place)} with its limits of sign-in: {name} takes it, and refuses who signs in too often"):
            with tempfile.TemporaryDirectory() as folder:
                # Also for nginx's workers, who are somebody else where this is root.
                Path(folder).chmod(0o755)
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    at = f"127.0.0.1:{free.getsockname()[1]}"
                file = Path(folder) / "configuration"
                file.write_text(filled(place, at, folder))
                run(program, *test, file)
                refuses([program, *serve, str(file)], f"http://{at}/v1")


def filled(place: tuple[str, str], at: str, folder: str) -> str:
    page = (ROOT / place[0] / "README.md").read_text()
    if SWITCH not in page:
        raise Problem(f"{place[0]}/README.md does not say `{SWITCH}…`")
    text = (ROOT / "/".join(place)).read_text()
    if len(re.findall(rf"^ *{MARK}", text, re.MULTILINE)) < 3:
        raise Problem("it has no limits that are off")
    # The comments at the top name the placeholders.
    text = "".join(line for line in text.replace(MARK, "").splitlines(True) if not line.startswith("#"))
    for name, value in {**NOBODY[place], "LISTEN": at, "PREFIX_DIR": folder}.items():
        text = text.replace("${" + name + "}", value)
    return text


def refuses(command: list[str], url: str) -> None:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while asked(f"{url}/me")[0] != 503:
            if time.monotonic() > deadline or process.poll() is not None:
                raise Problem("it does not come up")
            time.sleep(0.05)
        start = time.monotonic()
        answers = [asked(f"{url}/auth/login", b"{}") for _ in range(OFTEN)]
        took = time.monotonic() - start
        statuses = [status for status, *_ in answers]
        # First as many as may come at once; then, on a slow machine, one now and then.
        first, late = statuses.index(429) if 429 in statuses else OFTEN, statuses.count(503)
        if set(statuses) != {503, 429} or first < 20 or late - first > 1 + took / 2:
            raise Problem(f"{OFTEN} sign-ins within {took:.1f} s were answered with {statuses}")
        _, headers, body = answers[first]
        said = json.loads(body)
        if headers["content-type"] != "application/problem+json" or not int(headers["retry-after"]):
            raise Problem(f"it refuses with {headers}")
        if (said["code"], said["status"], said["request_id"]) != ("rate_limited", 429, headers["x-request-id"]):
            raise Problem(f"it refuses with {said}")
        # Everybody behind one address goes on.
        for path, body in (("auth/refresh", b"{}"), ("conversations", b"{}"), ("me", None)):
            if (status := asked(f"{url}/{path}", body)[0]) != 503:
                raise Problem(f"{path} is answered with {status} as well")
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def asked(url: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status 0: nobody answers."""
    try:
        with OPENER.open(urllib.request.Request(url, body), timeout=PATIENCE) as answer:
            return answer.status, {}, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, {name.lower(): value for name, value in refusal.headers.items()}, refusal.read()
    except OSError:
        return 0, {}, b""
