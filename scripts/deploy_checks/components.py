"""k8s/components: every overlay still builds, and is as good, with each of them that it has not; and the metric that the
autoscaler asks for is one that gateways have and that the adapter's rule answers.
"""

import os
import tempfile
from pathlib import Path

import yaml

import inheritance
import kubernetes
import maintenance
import pod_security
from report import ROOT, Problem, Report

HERE = ROOT / "k8s/components"


def check(report: Report) -> None:
    with report.check("k8s/components/hpa-connections asks for a metric that there is"):
        check_metric()
    builder = kubernetes.find_builder()
    if builder is None:
        report.skip("k8s/components in overlays, because there is neither kubectl 1.27 nor kustomize")
        return
    for component in sorted(path.parent for path in HERE.glob("*/kustomization.yaml")):
        # Who has it already is looked at by kubernetes.py.
        for overlay in (overlay for overlay in kubernetes.overlays() if component not in included(overlay)):
            with report.check(f"k8s/components/{component.name} in k8s/overlays/{overlay}"):
                without = kubernetes.built(builder, ROOT / "k8s/overlays" / overlay)
                documents = combined(builder, ROOT / "k8s/overlays" / overlay, component)
                if documents == without:
                    raise Problem("it changes nothing")
                for version in kubernetes.VERSIONS:
                    kubernetes.validate(documents, version)
                inheritance.check(kubernetes.built(builder, ROOT / "k8s/base"), documents)
                pod_security.check(documents)
                maintenance.check(documents)
                kubernetes.check_selectors(documents)


def included(overlay: str) -> list[Path]:
    """The components that an overlay names itself."""
    folder = ROOT / "k8s/overlays" / overlay
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [(folder / name).resolve() for name in kustomization.get("components", [])]


def combined(builder: list[str], overlay: Path, component: Path) -> list[dict]:
    """What an overlay that takes both in would be. Its folder is elsewhere, and names them by relative paths."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder).resolve()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(overlay, folder)],
            "components": [os.path.relpath(component, folder)],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return kubernetes.built(builder, folder)


def check_metric() -> None:
    folder = HERE / "hpa-connections"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    operations = [operation for patch in kustomization["patches"] for operation in yaml.safe_load(patch["patch"])]
    asked = [operation["value"]["pods"]["metric"]["name"] for operation in operations]
    rules = yaml.safe_load((folder / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    answered = {rule["name"]["as"]: rule["seriesQuery"].partition("{")[0] for rule in rules}
    code = (ROOT / "crates/gateway/src/metrics.rs").read_text()
    for name in asked:
        if name not in answered:
            raise Problem(f"no rule of the adapter answers for {name}")
        if f'IntGauge::new("{answered[name]}"' not in code:
            raise Problem(f"{answered[name]} is no gauge of crates/gateway/src/metrics.rs")
