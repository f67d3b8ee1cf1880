"""The Dockerfile and compose.yaml, held against what is known of them without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from custom_handler.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
BUILT = [service["image"] for service in SERVICES.values() if "build" in service]


@pytest.mark.slow
def test_the_dockerfile_passes_its_linter():
    told = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def test_the_last_stage_is_the_one_that_is_run():
    assert re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE, re.MULTILINE)[-1] == "runtime"


@pytest.mark.parametrize("name", ["runtime", "test"])
def test_nothing_runs_as_root(name):
    assert re.findall(r"^USER (.*)$", stage(name), re.MULTILINE)[-1] == "10001:10001"


def test_packages_are_installed_by_their_hashes_only():
    assert re.findall(r"pip install (.*)", DOCKERFILE) == [
        "--no-cache-dir --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements.lock"
    ]


def test_what_is_copied_into_the_image_exists_and_is_not_ignored():
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
        if name != "."
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {"requirements.lock", "custom_handler", "config.yaml", "docs/errors.md"}
    assert all((ROOT / name).exists() for name in copied)
    assert {"*", "!custom_handler/", "!docs/", "!config.yaml", "!requirements*.lock", "**/.env", "**/secrets/"} <= set(
        ignored
    )
    assert ignored.index("**/.env") > ignored.index("!custom_handler/")  # the last line that fits decides


@pytest.mark.slow
def test_the_image_says_that_it_is_ill_where_nothing_answers():
    command = json.loads(re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)[1])
    assert command[0] == "python"
    port = re.search(r"127\.0\.0\.1:(\d+)", command[2])[1]
    assert f'"--port", "{port}"' in DOCKERFILE
    # Port 9, discard, is served by nobody.
    ill = subprocess.run([sys.executable, "-c", command[2].replace(port, "9")], capture_output=True, check=False)
    assert ill.returncode == 1


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_become_more_than_it_is(name):
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert service["image"] in BUILT or re.search(r":v?\d", service["image"]), "an image without a version"


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_the_proxy_writes_nowhere_but_where_it_must(name):
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["volumes"] == ["runs:/srv/stackspot/runs"]


def test_an_image_is_built_once():
    assert len(BUILT) == len(set(BUILT)), "two builds at once of one name fail where the second finds the first's"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_copied_into_a_container_that_takes_none(name):
    given = [COMPOSE["secrets"][secret] for secret in SERVICES[name].get("secrets", ())]
    assert not SERVICES[name].get("read_only") or all("file" in secret for secret in given)


def test_only_the_proxy_is_reachable_from_elsewhere():
    ports = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert {name for name, given in ports.items() if not given[0].startswith("127.0.0.1:")} == {"proxy"}


def test_what_is_waited_for_says_when_it_is_well():
    assert all("test" in SERVICES[name]["healthcheck"] for name in SERVICES["proxy"]["depends_on"])


def test_a_running_stream_may_end_before_its_process_does():
    minutes = int(SERVICES["proxy"]["stop_grace_period"].removesuffix("m"))
    assert minutes * 60 > Settings().limits.timeout


def test_what_is_mounted_from_here_exists():
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    assert all((ROOT / path).exists() for path in mounted if path.startswith("."))
    assert {path for path in mounted if not path.startswith(".")} == set(COMPOSE["volumes"])


def test_the_override_of_the_documents_mounts_files_where_the_proxy_looks_for_them():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [override] = re.findall(r"```yaml\n(services:.*?)```", page, re.DOTALL)
    services = yaml.safe_load(override)["services"]
    assert {*services} == {
        name for name, service in COMPOSE["services"].items() if service["image"].startswith("stackspot-litellm")
    }
    folder = re.findall(r"^WORKDIR (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[-1]
    for service in services.values():
        assert service["volumes"] == [f"./{name}:{folder}/{name}:ro" for name in ("config.yaml", "keys.yaml")]
