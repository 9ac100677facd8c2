"""What no engine is here to try: the image, compose and the cluster's manifests, by their linters and schemas."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes_validate.utils import validate

from tests.test_settings import PRODUCTION, ROOT, manage, names_explained
from zinzino.processes import programs

KUBERNETES = "1.34"
BASE, EXAMPLE = ROOT / "deploy" / "kubernetes" / "base", ROOT / "deploy" / "kubernetes" / "example"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
# Names that the image and compose read themselves.
NOT_OURS = {"POSTGRES_PASSWORD"}


def manifests() -> list[tuple[str, dict[str, Any]]]:
    pages = [path for folder in (BASE, EXAMPLE) for path in sorted(folder.glob("*.yaml"))]
    return [
        (f"{path.parent.name}/{path.name}: {each['kind']} {each['metadata']['name']}", each)
        for path in pages
        if path.name != "kustomization.yaml"
        for each in yaml.safe_load_all(path.read_text())
    ]


def pods() -> list[tuple[str, dict[str, Any]]]:
    return [(name, each["spec"]["template"]["spec"]) for name, each in workloads()]


def workloads() -> list[tuple[str, dict[str, Any]]]:
    return [(name, each) for name, each in manifests() if "template" in each.get("spec", {})]


def ours(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in pod["containers"] if each["image"] == "zinzino"]


# ------------------------------------------------------------------------------------------- the image


def test_the_dockerfile_has_no_fault() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_holds_every_app_and_no_more_of_the_project() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.M)
    apps = sorted(path.parent.name for path in ROOT.glob("*/apps.py"))
    assert sorted(copied) == sorted([*apps, "locale"])
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(kept) == sorted([*copied, "manage.py", "requirements.lock"])


def test_the_files_of_the_admin_are_collected_as_the_image_does_it(tmp_path: Path) -> None:
    elsewhere = {"STATIC_DIR": str(tmp_path / "static")}
    done = manage(PRODUCTION | elsewhere, tmp_path, "collectstatic", "--no-input", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "static" / "unfold" / "css" / "styles.css").exists()


# ------------------------------------------------------------------------------------------- compose


def filled(value: str) -> str:
    """`${NAME:-default}` as compose does it where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_compose_is_valid() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(COMPOSE)


def test_compose_runs_every_program() -> None:
    commands = [each.get("command") for each in COMPOSE["services"].values() if each.get("image") == "zinzino"]
    assert all(f"serve {program.name}" in commands for program in programs())


def test_compose_sets_only_what_exists_and_the_product_starts_with_it(tmp_path: Path) -> None:
    environment = {name: filled(value) for name, value in COMPOSE["x-program"]["environment"].items()}
    assert environment.keys() <= names_explained()
    read = re.findall(r"\$\{(\w+):-", json.dumps(COMPOSE["x-program"]["environment"]))
    assert set(read) - NOT_OURS <= names_explained()
    assert manage(environment, tmp_path, "check").returncode == 0


@pytest.mark.parametrize("name", [n for n, each in COMPOSE["services"].items() if each.get("image") == "zinzino"])
def test_a_container_of_ours_may_do_little(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


# ------------------------------------------------------------------------------------------- the cluster


@pytest.mark.parametrize(("name", "manifest"), manifests(), ids=[name for name, _ in manifests()])
def test_a_manifest_is_valid(name: str, manifest: dict[str, Any]) -> None:
    validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_kustomize_finds_every_file(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    own = {each for each in kustomization["resources"] if each.endswith(".yaml")}
    assert own | {"kustomization.yaml"} == {path.name for path in folder.glob("*.yaml")}
    for each in kustomization["resources"]:
        assert (folder / each).exists()


def test_the_cluster_runs_every_program() -> None:
    started = {" ".join(each["args"]) for _, pod in pods() for each in ours(pod)}
    assert {f"serve {program.name}" for program in programs()} | {"migrate_safely"} <= started


@pytest.mark.parametrize(("name", "pod"), pods(), ids=[name for name, _ in pods()])
def test_a_pod_may_do_little_and_is_bounded(name: str, pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_every_secret_is_made_and_read_by_a_setting_that_exists() -> None:
    kustomization = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text())
    [generator] = kustomization["secretGenerator"]
    made = {line.partition("=")[0] for line in generator["files"]}
    for _, pod in pods():
        for container in ours(pod):
            read = {each["name"]: each["value"] for each in container["env"] if "value" in each}
            assert {name.removesuffix("_FILE") for name in read} <= names_explained()
            assert {Path(path).name for name, path in read.items() if name.endswith("_FILE")} <= made


def test_the_example_is_a_good_production_environment(tmp_path: Path) -> None:
    lines = (EXAMPLE / "settings.env").read_text().split()
    environment = dict(line.split("=", 1) for line in lines)
    assert environment.keys() <= names_explained()
    secrets = {name: PRODUCTION[name] for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "DATABASE_URL", "REDIS_URL")}
    mail = {"EMAIL_URL": PRODUCTION["EMAIL_URL"]}
    done = manage(environment | secrets | mail, tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert (done.returncode, done.stderr) == (0, "")


def test_each_network_policy_names_pods_that_are_there() -> None:
    apps = {each["metadata"]["labels"]["app"] for _, each in workloads()}
    text = (BASE / "network.yaml").read_text()
    named = set(re.findall(r"app: (\w+)", text)) | {
        name for group in re.findall(r"values: \[(.*?)\]", text) for name in group.split(", ")
    }
    assert named == apps
