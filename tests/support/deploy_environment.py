"""Environment of a deploy under test: a checkout, fake commands on PATH, a fake cluster, and a gateway."""

import functools
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from deploy import steps
from deploy.context import DeployContext
from deploy.settings import AlertEmails, DeploySettings, Environment
from deploy.subscription import PROVIDERS
from tests.support.fake_cluster import FakeCluster, run_fake_cluster
from tests.support.fake_kubernetes_objects import Key

REPOSITORY = Path(__file__).parents[2]
RESPONSE_FILE = REPOSITORY / "deploy" / "tests" / "data" / "response.json"
"""Response of the default models 1.0.0 to the smoke test's plate, without polygons."""
PROGRAMS = ("az", "terraform", "kubectl", "helm", "kubelogin", "kind", "docker")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
ENTRA_AUDIENCE = "00000000-0000-0000-0000-00000000000d"
ACCESS_TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
"""The token that the fake `az` returns."""
_CHECKOUT_FILES = (".dockerignore", "pyproject.toml", "constraints.txt", "README.md", "LICENSE")
_FAKE_INSTALLER = """\
import subprocess, sys
subprocess.run(["helm", "status", *sys.argv[1:]], check=True)
namespace = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "thale"}}'
apply = ["kubectl", "apply", "--server-side", "--field-manager", "thale-platform", "--filename", "-"]
if "laptop" in sys.argv:
    subprocess.run(apply, input=namespace, text=True, check=True)
"""
"""Replaces deploy/addons/install.py, which has its own tests. It calls the kubectl and helm on PATH."""


class _Facade(BaseHTTPRequestHandler):
    """Facade that returns the recorded response to each plate."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.server.credentials.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        is_authenticated = (self.headers["Authorization"] or "").startswith("Bearer ")
        data = self.server.response if is_authenticated else b"unauthenticated"  # type: ignore[attr-defined]
        self.send_response(200 if is_authenticated else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@dataclass
class DeployEnvironment:
    """A deploy environment and the calls that it recorded."""

    root: Path
    bin_dir: Path
    api: FakeCluster
    gateway: Any
    output: StringIO = field(default_factory=StringIO)

    def configure(self, **changes: object) -> None:
        """Change the configuration of the fake commands."""
        path = self.bin_dir / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def calls(self, *prefix: str) -> list[list[str]]:
        """Return the recorded calls that start with a prefix."""
        path = self.bin_dir / "calls.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if tuple(line[: len(prefix)]) == prefix]

    def clear_calls(self) -> None:
        """Delete the recorded calls."""
        (self.bin_dir / "calls.jsonl").unlink(missing_ok=True)

    @staticmethod
    def key(plural: str, name: str) -> Key:
        """Return the key of a cluster-scoped object."""
        return Key(plural, "", name)

    def context(self, environment: Environment, **settings: Any) -> DeployContext:
        """Return a deploy context that prints to `output`."""
        azure_settings = {
            "subscription_id": SUBSCRIPTION,
            "admin_group_ids": (SUBSCRIPTION[:-1] + "2",),
            "entra_audience": ENTRA_AUDIENCE,
            "alert_emails": AlertEmails(page=("pager@example.org",), ticket=("team@example.org",)),
        }
        values = {"wait_s": 2.0, "poll_interval_s": 0.1} | (azure_settings if environment.on_azure else {}) | settings
        return DeployContext(
            DeploySettings(environment=environment, **values), Console(file=self.output, width=150), self.root
        )

    def run_steps(self, context: DeployContext) -> str:
        """Run all steps and return the output."""
        self.output.truncate(0)
        self.output.seek(0)
        steps.run_steps(context)
        return self.output.getvalue()

    def command(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line in the checkout."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "COLUMNS": "150", **variables}
        command = [sys.executable, "-m", "deploy", *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=200)


@contextmanager
def build_deploy_environment(folder: Path) -> Iterator[DeployEnvironment]:
    """Build the environment. The caller sets PATH."""
    root, bin_dir = folder / "checkout", folder / "programs"
    shutil.copytree(_checkout_template().name, root)
    with ExitStack() as stack:
        ca_certificate, gateway = stack.enter_context(_run_gateway(folder))
        api = stack.enter_context(run_fake_cluster(ca_certificate))
        api.add_kinds(_overlay_objects())
        api.add_kinds([{"apiVersion": "monitoring.coreos.com/v1", "kind": kind} for kind in _MONITORS])
        definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {}}
        name = "inferenceservices.serving.kserve.io"
        api.objects.apply(DeployEnvironment.key("customresourcedefinitions", name), definition, "kserve", force=False)
        _write_fake_commands(bin_dir, api, gateway.server_port)
        yield DeployEnvironment(root, bin_dir, api, gateway)


_MONITORS = ("PodMonitor", "PrometheusRule", "ServiceMonitor")


@functools.cache
def _overlay_objects() -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    command = ["kubectl", "kustomize", str(REPOSITORY / "kubernetes" / "overlays" / "aks-dev")]
    overlay = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.load_all(overlay.stdout, yaml.CSafeLoader))


@functools.cache
def _checkout_template() -> "tempfile.TemporaryDirectory[str]":
    """Copy the files that a deploy reads into a new Git repository, once in a process."""
    template = tempfile.TemporaryDirectory(prefix="thale-checkout-")
    _create_checkout(Path(template.name))
    return template


def _create_checkout(root: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "tests", ".terraform*", "*.tfstate*", "data")
    for folder in ("deploy", "terraform", "kubernetes", "services", "model-server"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignore)
    for name in _CHECKOUT_FILES:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / name, root / name)
    (root / "deploy" / "addons" / "install.py").write_text(_FAKE_INSTALLER)
    (root / "terraform" / "azure" / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    (root / ".gitignore").write_text("__pycache__/\n.deploy/\n*.tfstate*\n.terraform*\n")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)


def _write_fake_commands(bin_dir: Path, api: FakeCluster, gateway_port: int) -> None:
    bin_dir.mkdir()
    script = f"#!{sys.executable} -IS\n" + (Path(__file__).parent / "fake_commands.py").read_text()
    for name in PROGRAMS:
        (bin_dir / name).write_text(script)
        (bin_dir / name).chmod(0o755)
    (bin_dir / "kubeconfig").write_text(api.kubeconfig())
    (bin_dir / "built.json").write_text("[]")
    sizes = {"Standard_D2ds_v5": 2, "Standard_D4ds_v5": 4, "Standard_D8ds_v5": 8, "Standard_NC4as_T4_v3": 4}
    families = {"Standard_NC4as_T4_v3": "Standard NCASv3_T4 Family"}
    config = {
        "faults": [],
        "engine": "Docker version 29.0.0, build abc",
        "subscription": SUBSCRIPTION,
        "access_token": ACCESS_TOKEN,
        "providers": [f"Microsoft.{name}" for name in PROVIDERS],
        "encryption": "Registered",
        "sizes": [
            {
                "name": name,
                "family": families.get(name, "standardDDSv5Family"),
                "capabilities": [{"name": "vCPUs", "value": str(cores)}],
                "restrictions": [],
                "locationInfo": [{"location": "westeurope", "zones": ["1", "2", "3"]}],
            }
            for name, cores in sizes.items()
        ],
        "usages": [
            {"name": {"value": name, "localizedValue": name}, "currentValue": "0", "limit": "100"}
            for name in ("standardDDSv5Family", "Standard NCASv3_T4 Family", "lowPriorityCores", "cores")
        ],
        "names": {
            "offline-azurerm_container_registry-login_server": "crthaledev.azurecr.io",
            "offline-azurerm_storage_account-primary_blob_endpoint": "https://stthaledev.blob.core.windows.net/",
            "offline-azurerm_monitor_workspace-query_endpoint": "https://thale-dev.prometheus.monitor.azure.com",
        },
        "kubeconfig": api.kubeconfig(),
        "gateway_port": gateway_port,
    }
    (bin_dir / "config.json").write_text(json.dumps(config))


@contextmanager
def _run_gateway(folder: Path) -> Iterator[tuple[bytes, Any]]:
    """Run a TLS server with the fake facade; yield its CA certificate and the server."""
    names = "subjectAltName=DNS:thale.dev.internal,DNS:thale.localhost"
    openssl_command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    files = [
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "crt.pem"),
        "-subj",
        "/CN=thale",
        "-addext",
        names,
    ]
    subprocess.run([*openssl_command, *files], check=True, capture_output=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Facade) as server:
        server.response = RESPONSE_FILE.read_bytes()  # type: ignore[attr-defined]
        server.hosts, server.credentials = [], []  # type: ignore[attr-defined]
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(folder / "crt.pem", folder / "key.pem")
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield (folder / "crt.pem").read_bytes(), server
        server.shutdown()
        thread.join()
