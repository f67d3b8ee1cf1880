"""deploy/kubernetes against the schemas of Kubernetes, and its parts against each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import custom_handler
from custom_handler.settings import Settings, all_fields

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
RESOURCES: dict[str, dict[str, Any]] = {
    f"{item['kind']}/{item['metadata']['name']}": item
    for name in KUSTOMIZATION["resources"]
    for item in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
}
WORKLOADS = [item for item in RESOURCES.values() if item["kind"] == "Deployment"]
PROXY = RESOURCES["Deployment/stackspot-proxy"]
MOUNTED = "/run/secrets/stackspot"


def pod(workload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod that a workload makes, and its one container."""
    spec = workload["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def environment(name: str) -> dict[str, str]:
    return dict(re.findall(r"^#?(\w+)=(.*)$", (FOLDER / name).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_is_what_kubernetes_takes(name, version):
    kubernetes_validate.validate(RESOURCES[name], version, strict=True)


def test_every_file_of_the_folder_is_taken():
    known = {*KUSTOMIZATION["resources"], "kustomization.yaml", "settings.env", "secrets.example.env"}
    assert {file.name for file in FOLDER.iterdir() if file.is_file()} == known


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda item: item["metadata"]["name"])
def test_a_pod_has_no_rights(workload):
    spec, container = pod(workload)
    assert spec["automountServiceAccountToken"] is False
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, 10001)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda item: item["metadata"]["name"])
def test_what_a_pod_names_is_there(workload):
    spec, container = pod(workload)
    made = {item["name"] for kind in ("configMapGenerator", "secretGenerator") for item in KUSTOMIZATION[kind]}
    named = {next(iter(source.values()))["name"] for source in container["envFrom"]}
    named |= {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    assert named == made
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert container["image"] in {image["name"] for image in KUSTOMIZATION["images"]}


def test_the_client_key_is_a_file_and_no_secret_is_a_setting():
    given = environment("settings.env")
    assert given["CLIENT_SECRET_FILE"] == f"{MOUNTED}/client_secret"
    assert {mount["mountPath"] for mount in pod(PROXY)[1]["volumeMounts"]} >= {MOUNTED, "/tmp"}
    secret = {item.metadata["name"] for item in all_fields() if not item.repr}
    assert not secret & given.keys()


def test_every_setting_that_is_given_is_known():
    known = {item.metadata["name"] for item in all_fields()}
    others = {"BEDROCK_MODEL_ID", "AWS_REGION", "LITELLM_MASTER_KEY", "DATABASE_URL"}
    assert {*environment("settings.env"), *environment("secrets.example.env")} <= known | others


def test_the_image_is_that_of_the_release():
    assert [image["newTag"] for image in KUSTOMIZATION["images"]] == [custom_handler.__version__]


def test_selectors_meet_their_pods():
    labels = {item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"] for item in WORKLOADS}
    for name, item in RESOURCES.items():
        spec = item.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector)
        if name != "Namespace/stackspot":
            assert wanted.items() <= labels[item["metadata"]["name"]].items(), name


def test_a_rolling_restart_never_has_fewer_proxies_and_lets_streams_end():
    spec, container = pod(PROXY)
    assert PROXY["spec"]["replicas"] > RESOURCES["PodDisruptionBudget/stackspot-proxy"]["spec"]["minAvailable"]
    assert PROXY["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > Settings().limits.timeout + pause


def test_probes_ask_routes_that_want_no_key():
    _, container = pod(PROXY)
    asked = {container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert asked == {"/health/liveliness", "/health/readiness"}
