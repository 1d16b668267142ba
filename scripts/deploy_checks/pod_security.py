"""Every pod of a set of manifests holds to the Pod Security Standard "restricted", and to a read-only root beside it.

The rules are those of the standard's latest version, written out: a cluster that enforces it would refuse the pod, and
nobody would see that before it is applied.
"""

from report import Problem

# Of the kinds that hold a pod's template, where it is.
TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX = {None, "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def check(documents: list[dict]) -> None:
    """Raises with everything that is weaker, and when a namespace does not enforce the standard."""
    problems, pods = [], 0
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] in TEMPLATES:
            pods += 1
            pod = document
            for key in TEMPLATES[document["kind"]]:
                pod = pod[key]
            problems += [f"{name}: {problem}" for problem in weaknesses(pod["spec"])]
        elif "containers" in str(document.get("spec", {}).get("template", "")):
            problems.append(f"{name}: a kind with pods that this check does not know")
        elif document["kind"] == "Namespace":
            labels = document["metadata"].get("labels", {})
            if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
                problems.append(f"{name} does not enforce `restricted`")
    if not pods:
        problems.append("there is no pod in it")
    if problems:
        raise Problem("\n".join(problems))


def weaknesses(pod: dict) -> list[str]:
    found = [f"{field} is shared with the machine" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']} is of kind {kind}" for kind in volume.keys() - VOLUMES - {"name"}]
    whole = pod.get("securityContext", {})
    found += [f"sysctl {item['name']}" for item in whole.get("sysctls", []) if item["name"] not in SYSCTLS]
    found += same_of_both(whole, "the pod")
    # Said once for the pod, or for each container; what a container says wins.
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, []):
            context = container.get("securityContext", {})
            found += [f"{container['name']}: {problem}" for problem in of_container(container, context)]
            found += same_of_both(context, container["name"])
            if context.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
                found.append(f"{container['name']} may run as root")
            profile = context.get("seccompProfile", whole.get("seccompProfile", {})).get("type")
            if profile not in ("RuntimeDefault", "Localhost"):
                found.append(f"{container['name']} has the seccomp profile {profile}")
    return found


def of_container(container: dict, context: dict) -> list[str]:
    found = []
    if context.get("privileged"):
        found.append("is privileged")
    if context.get("allowPrivilegeEscalation") is not False:
        found.append("may gain privileges")
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append("keeps capabilities")
    if context.get("procMount", "Default") != "Default":
        found.append("sees the whole of /proc")
    if context.get("readOnlyRootFilesystem") is not True:
        found.append("may write to its root")
    if any(port.get("hostPort") for port in container.get("ports", [])):
        found.append("takes a port of the machine")
    for hook in container.get("lifecycle", {}).values():
        if any("host" in hook.get(how, {}) for how in ("httpGet", "tcpSocket")):
            found.append("a hook names a host")
    probes = (container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness"))
    if any("host" in probe.get(how, {}) for probe in probes for how in ("httpGet", "tcpSocket")):
        found.append("a probe names a host")
    return found


def same_of_both(context: dict, who: str) -> list[str]:
    """What neither a pod nor a container may say."""
    found = []
    if context.get("runAsUser") == 0:
        found.append(f"{who} runs as root")
    if context.get("windowsOptions", {}).get("hostProcess"):
        found.append(f"{who} is a process of the machine")
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        found.append(f"{who} has no AppArmor profile")
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX or selinux.get("user") or selinux.get("role"):
        found.append(f"{who} chooses its SELinux label")
    return found
