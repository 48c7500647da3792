"""The demo overlay of `deploy/kubernetes`, as `podman kube play` of an old Podman takes it.

Documents are played as kustomize builds them: ConfigMaps, Secrets, PersistentVolumeClaims, and of
each Deployment its pod with security context, limits, environment and mounts. What a cluster does
and Podman 4.3 does not is done here, and nothing else is changed:

- `$(NAME)` in an environment value is replaced, as the kubelet does it;
- a Job becomes a Pod that restarts until it succeeds;
- a Service becomes its name in the network, and a port of this machine where the test goes in;
- a Deployment of two replicas becomes two pods;
- a Secret becomes a ConfigMap of the same content (Podman mounts a Secret's base64 text as it is);
- an emptyDir is named after its pod (Podman makes one volume of all that have the same name);
- probes and preStop are left out: they need systemd. The test asks what the probes ask.
"""

import copy
import re
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

_REFERENCE = re.compile(r"\$\(([A-Z_]+)\)")
_LEFT_OUT = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports")
Document = dict[str, Any]


@dataclass(frozen=True)
class PlayedPod:
    """A pod of the overlay: what it is called there, and the document that Podman gets."""

    app: str
    name: str
    document: Document
    is_job: bool
    probes: dict[str, str] = field(default_factory=dict)
    grace_s: int = 30


def name_of(document: Document) -> str:
    """`metadata.name`."""
    return str(document["metadata"]["name"])


def settings_of(documents: list[Document]) -> list[Document]:
    """The ConfigMaps, and the Secrets as ConfigMaps."""
    return [
        document if document["kind"] == "ConfigMap" else _opened(document)
        for document in documents
        if document["kind"] in ("ConfigMap", "Secret")
    ]


def _opened(secret: Document) -> Document:
    content = {name: b64decode(text).decode() for name, text in secret["data"].items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": secret["metadata"],
        "data": content,
    }


def pods(documents: list[Document], published: dict[str, dict[int, int]]) -> list[PlayedPod]:
    """The pods of all Deployments and Jobs. `published`: app, container's port, machine's port."""
    settings = {name_of(each): each["data"] for each in documents if each["kind"] == "ConfigMap"}
    found: list[PlayedPod] = []
    for document in documents:
        if document["kind"] not in ("Deployment", "Job"):
            continue
        app = str(document["metadata"]["labels"]["app.kubernetes.io/name"])
        for number in range(int(document["spec"].get("replicas", 1))):
            ports = published.get(app, {}) if number == 0 else {}
            found.append(_pod(document, app, number, settings, ports))
    return found


def _pod(
    document: Document,
    app: str,
    number: int,
    settings: dict[str, dict[str, str]],
    ports: dict[int, int],
) -> PlayedPod:
    template = copy.deepcopy(document["spec"]["template"])
    spec = template["spec"]
    (container,) = spec["containers"]
    probes = {
        kind: str(container[kind]["httpGet"]["path"])
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        if kind in container
    }
    for key in _LEFT_OUT:
        container.pop(key, None)
    if ports:
        container["ports"] = [
            {"containerPort": inside, "hostPort": outside, "hostIP": "127.0.0.1"}
            for inside, outside in ports.items()
        ]
    _expand(container, settings)
    name = f"{name_of(document)}-{number}"
    _name_volumes(spec, container, name)
    return PlayedPod(
        app=app,
        name=name,
        document={
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": name},
            "spec": spec,
        },
        is_job=document["kind"] == "Job",
        probes=probes,
        grace_s=int(spec.get("terminationGracePeriodSeconds", 30)),
    )


def _name_volumes(spec: Document, container: Document, pod: str) -> None:
    """Give each emptyDir the pod's name before its own, and each secret as a ConfigMap."""
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            volume["configMap"] = {"name": volume.pop("secret")["secretName"]}
        if "emptyDir" in volume:
            volume["name"] = f"{pod}-{volume['name']}"
    emptied = {v["name"] for v in spec.get("volumes", []) if "emptyDir" in v}
    for mount in container.get("volumeMounts", []):
        if (name := f"{pod}-{mount['name']}") in emptied:
            mount["name"] = name


def _expand(container: Document, settings: dict[str, dict[str, str]]) -> None:
    """Replace `$(NAME)` by the value of an earlier variable of the container's environment."""
    known: dict[str, str] = {}
    for source in container.get("envFrom", []):
        known |= settings[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if "value" in variable:
            variable["value"] = _REFERENCE.sub(
                lambda found: known.get(found[1], found[0]), variable["value"]
            )
            known[variable["name"]] = variable["value"]
