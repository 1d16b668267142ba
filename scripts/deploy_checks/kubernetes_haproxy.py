"""k8s/components/haproxy/haproxy.cfg: deploy/haproxy's template with servers that DNS names, and what a pod needs more.

    python3 -B scripts/deploy_checks/kubernetes_haproxy.py      writes it, after a change of the template or of this

`scripts/check-deploy` compares, so that the two do not part.
"""

import re

from report import ROOT

TEMPLATE = ROOT / "deploy/haproxy/haproxy.cfg.template"
FILE = ROOT / "k8s/components/haproxy/haproxy.cfg"
# One address for all pods of a role would hide them: HAProxy counts sockets and asks /readyz of each. A full name,
# since HAProxy does not go through the `search` of resolv.conf. Unused places cost nothing.
SERVERS = (
    'server-template {role}- {most} "starling-{role}-pods.${{POD_NAMESPACE}}.svc.${{CLUSTER_DOMAIN}}:8080" '
    "check port 9180 resolvers kubernetes resolve-prefer ipv4 init-addr none"
)
VALUES = {
    "LISTEN": ":8080",
    "GATEWAYS": SERVERS.format(role="gateway", most=100),
    "APIS": SERVERS.format(role="api", most=50),
}
HEAD = """\
# Written by scripts/deploy_checks/kubernetes_haproxy.py: deploy/haproxy/haproxy.cfg.template, with servers that the
# headless Services name. deploy/haproxy/README.md says why each line is there. At the end is what a pod needs besides.
"""
BESIDES = """
# The cluster's DNS, asked every second or two: pods come and go. When it does not answer, what it said is believed for
# an hour, so that HAProxy outlives it.
resolvers kubernetes
    parse-resolv-conf
    # Without it an answer has room for some twenty pods.
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 2s
    hold obsolete 5s
    hold nx 10s
    hold timeout 1h
    hold refused 1h
    hold other 1h

# A pod that leaves (SIGUSR1) takes nobody any more, and goes when its last socket has ended: at the latest then.
global
    hard-stop-after 60s

# For the kubelet and Prometheus, never for clients: no Service leads here. A new pod takes clients when it has found
# nodes.
frontend health
    bind :8404
    option dontlog-normal
    http-request return status 200 if { path /healthz }
    http-request return status 200 if { path /startz } { nbsrv(starling_gateways) gt 0 } { nbsrv(starling_apis) gt 0 }
    http-request use-service prometheus-exporter if { path /metrics }
    http-request return status 503
"""


def text() -> str:
    # The comments at its top name the placeholders.
    filled = "global\n" + TEMPLATE.read_text().split("\nglobal\n", 1)[1]
    # Nobody fills this file in, so nobody would switch them on.
    filled = re.sub(r"\n+\Z", "\n", re.sub(r"(?:^ *#limit: .*\n)+(?:^\n)?", "", filled, flags=re.MULTILINE))
    for name, value in VALUES.items():
        filled = filled.replace("${" + name + "}", value)
    return HEAD + "\n" + filled + BESIDES


if __name__ == "__main__":
    FILE.write_text(text())
    print(f"wrote {FILE.relative_to(ROOT)}")
