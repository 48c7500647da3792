"""Compose file, manifests and rules: all names exist, and each service has what it needs."""

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
STORING = [name for name in SERVICES if name != "console"]


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def compose() -> dict[str, Any]:
    (content,) = documents(DEPLOY / "compose.yaml")
    services: dict[str, Any] = content["services"]
    return services


def targets() -> set[str]:
    text = (DEPLOY / "images" / "Dockerfile").read_text()
    return set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))


def test_each_service_has_an_image_a_container_and_a_deployment() -> None:
    assert set(SERVICES) <= targets()
    assert set(SERVICES) <= compose().keys()
    base = DEPLOY / "kubernetes" / "base"
    assert set(SERVICES) <= {path.stem for path in base.glob("*.yaml")}


def locked(name: str) -> dict[str, str]:
    """The packages in a lock file of the images, each with version and checksums."""
    text = (DEPLOY / "images" / f"{name}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==((?:.*\\\n)*.*)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("image", "packages"),
    [("requirements", {"apprise", "css-inline"}), ("console", {"python-multipart"})],
)
def test_packages_for_mails_and_pages_are_only_where_they_are_used(
    image: str, packages: set[str]
) -> None:
    """The images of the notifier and the tools, and that of the console, have packages more."""
    services, everything = locked("services"), locked(image)
    assert len(services) > 40
    assert services.items() <= everything.items()
    assert packages <= everything.keys() - services.keys()
    others = {"requirements": "console", "console": "requirements"}[image]
    assert not packages & locked(others).keys()


@pytest.mark.parametrize("service", STORING)
def test_a_container_logs_in_as_its_service_and_has_only_its_own_secret(service: str) -> None:
    found = compose()[service]
    login = f"ringfence_{service.replace('-', '_')}_login@"
    assert login in found["environment"]["RINGFENCE_POSTGRES_DSN"]
    mounted = {volume.partition(":")[0] for volume in found["volumes"]}
    assert {name for name in mounted if name.startswith("secrets-")} <= {
        f"secrets-{service}",
        "secrets-pbx",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights(service: str) -> None:
    found = compose()[service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]


def test_the_console_has_no_secret_and_no_database() -> None:
    """It has the token of the person who logs in, and nothing else."""
    found = compose()["console"]
    assert "volumes" not in found
    assert not [name for name in found["environment"] if "POSTGRES" in name]
    assert found["environment"]["RINGFENCE_CONSOLE_API"] == "http://accounts:8080"


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_runs_without_rights_and_is_probed(service: str) -> None:
    deployment = documents(DEPLOY / "kubernetes" / "base" / f"{service}.yaml")[0]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
    secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert set(secrets) <= {f"ringfence-{service}", "ringfence-pbx"}


def test_each_alert_has_a_page_that_exists() -> None:
    (rules,) = documents(DEPLOY / "prometheus" / "rules" / "ringfence.rules.yml")
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 15
    missing = [a["alert"] for a in alerts if not (ROOT / a["annotations"]["runbook"]).is_file()]
    assert missing == []


def test_each_alert_asks_for_metrics_that_services_have() -> None:
    (rules,) = documents(DEPLOY / "prometheus" / "rules" / "ringfence.rules.yml")
    asked = {
        name.removesuffix("_bucket").removesuffix("_total")
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"ringfence_[a-z0-9_]+", rule["expr"])
    }
    sources = "\n".join(
        path.read_text()
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
    )
    unknown = {name for name in asked if f'"{name}' not in sources}
    assert unknown == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_rules_fire_exactly_when_they_must() -> None:
    file = DEPLOY / "prometheus" / "rules" / "ringfence.test.yml"
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["demo", "production"])
def test_an_overlay_can_be_built(overlay: str, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes", dirs_exist_ok=True)
    built = built_with_secrets(tmp_path / "kubernetes" / "overlays" / overlay)
    kinds = {document["kind"] for document in built}
    assert {"Deployment", "Job", "Secret", "ConfigMap", "Service"} <= kinds


def test_readiness_and_liveness_probes_differ() -> None:
    """An unreachable database makes a pod unready; restarting the pod would not help."""
    for service in SERVICES:
        (container,) = containers_of(service)
        probes = {name: container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
        paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
        assert paths == {"startup": "/ready", "readiness": "/ready", "liveness": "/health"}
        started_s = probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"]
        assert started_s >= 300


def containers_of(service: str) -> list[Any]:
    """The containers of a service's Deployment in the base."""
    (pod,) = (
        document["spec"]["template"]["spec"]
        for document in documents(DEPLOY / "kubernetes" / "base" / f"{service}.yaml")
        if document["kind"] == "Deployment"
    )
    return list(pod["containers"])


def built_with_secrets(overlay: Path) -> list[Any]:
    """The documents of an overlay; each secret file of it and its components contains its name."""
    (content,) = documents(overlay / "kustomization.yaml")
    for folder in (overlay, *(overlay / each for each in content.get("components", ()))):
        (part,) = documents(folder / "kustomization.yaml")
        for generator in (*part.get("secretGenerator", ()), *part.get("configMapGenerator", ())):
            for name in generator.get("files", ()):
                if not (folder / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_text(name)
    done = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_production_logs_in_to_kafka_by_tls(tmp_path: Path) -> None:
    """Each service has its own login, and its secret contains only its own password."""
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes", dirs_exist_ok=True)
    built = built_with_secrets(tmp_path / "kubernetes" / "overlays" / "production")
    secrets = {d["metadata"]["name"]: d["data"] for d in built if d["kind"] == "Secret"}
    pods = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"]
        for d in built
        if d["kind"] == "Deployment" or d["metadata"]["name"] == "topics"
    }
    assert pods.keys() == {*SERVICES, "topics"}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        given = {each["name"]: each for each in container["env"]}
        assert given["RINGFENCE_KAFKA_SECURITY_PROTOCOL"]["value"] == "SASL_SSL"
        user = given["RINGFENCE_KAFKA_SASL_USER"]
        if name == "topics":
            assert user["value"] == "setup"
        else:
            label = "metadata.labels['app.kubernetes.io/name']"
            assert user["valueFrom"]["fieldRef"]["fieldPath"] == label
        folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volume = next(v for v in pod["volumes"] if folders[v["name"]] == "/run/ringfence")
        secret = secrets[volume["secret"]["secretName"]]
        password = base64.b64decode(secret["kafka-password"]).decode()
        assert password == f"secrets/{'setup' if name == 'topics' else name}/kafka-password"
        assert "kafka-ca.pem" in secret


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_an_authority_and_scaling_by_lag_can_be_added_to_production(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes", dirs_exist_ok=True)
    overlay = tmp_path / "kubernetes" / "overlays" / "production"
    file = overlay / "kustomization.yaml"
    login = "  - ../../components/kafka-login\n"
    more = "  - ../../components/keda\n  - ../../components/postgres-ca\n"
    assert login in file.read_text()
    file.write_text(file.read_text().replace(login, login + more))
    built = built_with_secrets(overlay)
    (scaled,) = (d["spec"] for d in built if d["kind"] == "ScaledObject")
    (trigger,) = (d["spec"] for d in built if d["kind"] == "TriggerAuthentication")
    deployments = {d["metadata"]["name"]: d["spec"] for d in built if d["kind"] == "Deployment"}
    assert scaled["scaleTargetRef"]["name"] == "rating"
    assert "replicas" not in deployments["rating"]
    names = {d["metadata"]["name"] for d in built if d["kind"] == "Secret"}
    assert {each["name"] for each in trigger["secretTargetRef"]} <= names
    for spec in deployments.values():
        (container,) = spec["template"]["spec"]["containers"]
        assert "/etc/postgres-ca" in {m["mountPath"] for m in container["volumeMounts"]}
