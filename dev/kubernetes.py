"""Renders deploy/kubernetes/values.yaml with the official chart and checks the result; requires Helm."""

from __future__ import annotations

import argparse
import configparser
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).resolve().parent.parent / "deploy" / "kubernetes" / "values.yaml"
#: The components that a sync needs besides the task's own pod.
COMPONENTS = {"scheduler", "api-server", "dag-processor", "triggerer"}
#: Programs that the chart calls by default and that only the official image has.
OFFICIAL_ONLY = ("/entrypoint", "/clean-logs")


def main() -> int:
    """Render, check and print the problems; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chart", required=True, help="the chart: a folder, a .tgz, or its name")
    parser.add_argument("--helm", default="helm", help="the helm command")
    given = parser.parse_args()
    for arguments in (["lint", given.chart], ["template", "cohorts", given.chart, "--namespace", "cohorts"]):
        command = [given.helm, *arguments, "--values", str(VALUES)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n")
            return 1
    manifests = [each for each in yaml.safe_load_all(done.stdout) if each]
    wrong = [*schema_errors(manifests), *problems(manifests)]
    print("\n".join(wrong) or f"{len(manifests)} manifests are valid.")
    return int(bool(wrong))


def schema_errors(manifests: list[dict[str, Any]]) -> Iterator[str]:
    """Check each manifest against Kubernetes' schema."""
    import kubernetes_validate

    for each in [*manifests, pod_template(manifests)]:
        try:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            yield f"{name_of(each)}: {str(error).splitlines()[0]}"


def problems(manifests: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the problems of the manifests."""
    values = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    wanted = {entry["envName"] for entry in values["secret"]}
    found = {each["metadata"]["labels"]["component"] for each in manifests if each["kind"] == "Deployment"}
    if COMPONENTS - found:
        yield f"Missing components: {', '.join(sorted(COMPONENTS - found))}."
    yield from (f"{name_of(each)} would be created by the chart." for each in manifests if holds_secret(each))
    for owner, container in containers(manifests):
        where = f"{owner}, container {container['name']}"
        if not container.get("resources", {}).get("requests"):
            yield f"{where}: it has no resource requests."
        if container["securityContext"].get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{where}: it does not drop all capabilities."
        if called := [each for each in OFFICIAL_ONLY if each in json.dumps(container)]:
            yield f"{where}: {' and '.join(called)} is not in our image."
        if container["name"].endswith(("log-groomer", "cleanup-pods")):
            continue  # cleanup jobs need no connections
        missing = wanted - {each["name"] for each in container["env"]}
        if missing:
            yield f"{where}: {', '.join(sorted(missing))} is missing."
        if owner.startswith("Deployment") and not container.get("livenessProbe"):
            yield f"{where}: it has no liveness probe."
    bundles = json.loads(config(manifests)["dag_processor"]["dag_bundle_config_list"])
    if bundles != values["dagProcessor"]["dagBundleConfigList"]:
        yield "The bundles in the configuration differ from those in the values."


def containers(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every container that runs our image as a service, a job, or a task."""
    image = yaml.safe_load(VALUES.read_text(encoding="utf-8"))["images"]["airflow"]["repository"]
    for each in [*manifests, pod_template(manifests)]:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)  # of a CronJob
        spec = spec.get("template", {}).get("spec", spec)
        for container in spec.get("containers", []):
            if container.get("image", "").startswith(image):
                yield name_of(each), container


def holds_secret(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is a secret, except that of Celery's broker, which is unused here."""
    return manifest["kind"] == "Secret" and not manifest["metadata"]["name"].endswith("-broker-url")


def pod_template(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the executor's template of a task's pod."""
    template: dict[str, Any] = yaml.safe_load(files(manifests)["pod_template_file.yaml"])
    template["metadata"].setdefault("name", "pod-template")
    return template


def config(manifests: list[dict[str, Any]]) -> configparser.ConfigParser:
    """Return the airflow.cfg of all components."""
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(files(manifests)["airflow.cfg"])
    return read


def files(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """Return all files in config maps."""
    return {
        name: text for each in manifests if each["kind"] == "ConfigMap" for name, text in each["data"].items()
    }


def name_of(manifest: dict[str, Any]) -> str:
    """Return the kind and the name of a manifest."""
    return f"{manifest['kind']} {manifest['metadata'].get('name', '?')}"


if __name__ == "__main__":
    sys.exit(main())
