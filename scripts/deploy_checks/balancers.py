"""deploy/haproxy, k8s/components/haproxy and deploy/caddy: each filled in as its README says, and judged by the program.

nginx's template is looked at in files.py. What the load balancers do with real nodes, the cluster tests show.
"""

import json
import shutil
import tempfile
from pathlib import Path

import kubernetes_haproxy
from report import ROOT, Problem, Report, run

HAPROXY = ROOT / "deploy/haproxy/haproxy.cfg.template"
CADDYFILE = ROOT / "deploy/caddy/Caddyfile"
PLACEHOLDERS = {
    "LISTEN": "127.0.0.1:18080",
    "GATEWAYS": "server gateway-1 127.0.0.1:18081 check port 19081\n    server gateway-2 127.0.0.1:18082 check port 19082",
    "APIS": "server api-1 127.0.0.1:18083 check port 19083",
}
NODES = {"GATEWAYS": "127.0.0.1:18081 127.0.0.1:18082", "APIS": "127.0.0.1:18083", "ADMIN": "off"}


def haproxy(report: Report) -> None:
    """`haproxy -c` on the filled-in template; a warning is a problem too."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    if not Path(program).exists():
        report.skip("deploy/haproxy/haproxy.cfg.template, because there is no HAProxy")
        return
    with report.check("haproxy -c deploy/haproxy/haproxy.cfg.template"), tempfile.TemporaryDirectory() as folder:
        # The comments at its top name the placeholders.
        text = "".join(line for line in HAPROXY.open() if not line.startswith("#"))
        for name, value in PLACEHOLDERS.items():
            if text.count("${" + name + "}") != 1:
                raise Problem(f"the placeholder {name} is not there once")
            text = text.replace("${" + name + "}", value)
        if "${" in text:
            raise Problem("a placeholder is left: " + text[text.index("${") :].split("}")[0] + "}")
        file = Path(folder) / "haproxy.cfg"
        file.write_text(text)
        # -dW: warnings end it with 1.
        run(program, "-c", "-q", "-dW", "-f", file)
    with report.check("haproxy -c k8s/components/haproxy/haproxy.cfg, which is deploy/haproxy's but for the servers"):
        if kubernetes_haproxy.FILE.read_text() != kubernetes_haproxy.text():
            raise Problem("it is not: 'python3 -B scripts/deploy_checks/kubernetes_haproxy.py' writes it anew")
        pod = {"POD_NAMESPACE": "x", "CLUSTER_DOMAIN": "cluster.local"}
        run(program, "-c", "-q", "-dW", "-f", kubernetes_haproxy.FILE, env=pod)
    with report.check("deploy/haproxy asks /readyz, and logs no query"):
        lines = [line.split("#")[0].strip() for line in HAPROXY.read_text().splitlines()]
        if "option httpchk GET /readyz" not in lines:
            raise Problem("its health check asks something else")
        logged = [line for line in lines if line.startswith("log-format")]
        if "option httplog" in lines or len(logged) != 1 or any(word in logged[0] for word in ("%r", "%HU", "%HQ")):
            raise Problem("its log has queries, and they have tokens")


def caddy(report: Report) -> None:
    """`caddy validate` and the formatter; then what the file becomes for this machine and for a public name."""
    program = shutil.which("caddy")
    if program is None:
        report.skip("deploy/caddy/Caddyfile, because there is no Caddy")
        return
    with tempfile.TemporaryDirectory() as folder:
        # Nothing of ours: proxies of the environment would carry its health checks out of this machine.
        env = {"PATH": "/usr/bin:/bin", "HOME": folder, **NODES}
        if run(program, "version").lstrip("v").startswith("2.6."):
            env["BUFFER"] = "buffer_requests"
        file = ("--config", CADDYFILE, "--adapter", "caddyfile")
        with report.check("caddy validate deploy/caddy/Caddyfile"):
            run(program, "validate", *file, env=env)
            if run(program, "fmt", CADDYFILE, env=env) != CADDYFILE.read_text():
                raise Problem("`caddy fmt --overwrite` would change it")
        with report.check("deploy/caddy/Caddyfile: HTTPS by itself for a name, none on this machine, and no query in the logs"):
            local = json.loads(run(program, "adapt", *file, env=env))
            public = json.loads(run(program, "adapt", *file, env={**env, "SITE": "chat.example.com", "BIND": "0.0.0.0"}))
            for config, listen in ((local, ["127.0.0.1:8080"]), (public, ["0.0.0.0:443"])):
                servers = list(config["apps"]["http"]["servers"].values())
                if [server["listen"] for server in servers] != [listen]:
                    raise Problem(f"it listens on {[server['listen'] for server in servers]}, and {listen} was meant")
                if "automatic_https" in servers[0]:
                    raise Problem("HTTPS is not Caddy's own choice")
                fields = config["logging"]["logs"]["default"]["encoder"]["fields"]
                if fields["request>uri"] != {"filter": "regexp", "regexp": "\\?.*"} or "request>headers" not in fields:
                    raise Problem("its log has queries, and they have tokens")
