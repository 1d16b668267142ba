"""docs/operations.md: the Job that begins a new epoch on Kubernetes, as the page's command makes it of each overlay. What
applies it takes one label alone; here that choice is followed by hand, for there is no cluster.
"""

import re

import yaml

from kubernetes import find_builder, overlays
from report import ROOT, Problem, Report, run

PAGE = "docs/operations.md"
COMMAND = re.compile(r"^kubectl kustomize \S+ \|\n  (sed .*) \|\n  kubectl apply -l (\S+)=(\S+) -f -$", re.MULTILINE)
NAME = "starling-new-epoch"


def check(report: Report) -> None:
    builder = find_builder()
    if builder is None:
        report.skip(f"the Job of a new epoch in {PAGE}, because there is neither kubectl 1.27 nor kustomize")
        return
    for overlay in overlays():
        with report.check(f"{PAGE}: of k8s/overlays/{overlay} its command makes the Job that begins a new epoch, and no more"):
            built = run(*builder, ROOT / "k8s/overlays" / overlay)
            found = COMMAND.search((ROOT / PAGE).read_text())
            if found is None:
                raise Problem("the page has no such command")
            edit, key, value = found.groups()
            was, now = (chosen(text, key, value) for text in (built, run("bash", "-c", edit, text_in=built)))
            wanted = was | {"metadata": was["metadata"] | {"name": NAME}}
            # Everything else is as it was: which settings and secrets it reads, and with which rights.
            container = wanted["spec"]["template"]["spec"]["containers"][0]
            if container["args"] != ["migrate"]:
                raise Problem(f"the Job of migrations runs {container['args']}")
            container["args"] = ["admin", "new-epoch"]
            if now != wanted:
                raise Problem(f"it makes {now}")


def chosen(text: str, key: str, value: str) -> dict:
    found = [d for d in yaml.safe_load_all(text) if d["metadata"].get("labels", {}).get(key) == value]
    if [document["kind"] for document in found] != ["Job"]:
        raise Problem(f"the label {key}={value} is of {[document['kind'] for document in found]}, and not of one Job")
    return found[0]
