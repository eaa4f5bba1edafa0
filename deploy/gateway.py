"""Sends requests to the facade as a client does: through the gateway, with its host name and its CA certificate.

The gateway's address is internal. The request goes directly if the address is reachable, and else through a port that
kubectl forwards. In a private cluster, `az aks command invoke` runs curl in a pod.
"""

import base64
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import NotReadyError, SmokeError
from deploy.invoke import run_in_cluster
from deploy.settings import Access

_ENVOY_NAMESPACE = "envoy-gateway-system"
_PORT = 443
_TIMEOUT_S = 120
_PHENOTYPE_PATH = "/v1/phenotype"
_STATUS_PATTERN = re.compile(r"HTTP-STATUS:(\d+)\s*$")
_HEADERS = {"Accept": "application/json", "Content-Type": "application/octet-stream"}
_REMEDIES = {
    401: "the facade or the gateway rejected the credential: see docs/authentication.md, "
    '"A client gets 401 or 403"; before the first `thale keys create` only tokens are accepted',
    403: "the credential lacks the scope predict: assign the app role Thale.Predict, or create a key with it",
}


@dataclass(frozen=True)
class Gateway:
    """Address, host name and CA certificate of the gateway."""

    address: str
    host: str
    ca_certificate: bytes


def find_gateway(context: DeployContext, cluster: Cluster) -> Gateway:
    """Find the environment's gateway.

    Raises:
        NotReadyError: If it has no address or no certificate yet.
    """
    gateway = cluster.get("gateways.gateway.networking.k8s.io", "thale", "--namespace", NAMESPACE) or {}
    addresses = (gateway.get("status") or {}).get("addresses") or ()
    secret = cluster.get("secret", "gateway-tls", "--namespace", NAMESPACE) or {}
    ca_certificate = base64.b64decode((secret.get("data") or {}).get("ca.crt", ""))
    if not addresses or not ca_certificate:
        raise NotReadyError(f"the gateway has no {'certificate' if addresses else 'address'} yet")
    return Gateway(addresses[0]["value"], context.settings.host_name, ca_certificate)


def send_image(context: DeployContext, cluster: Cluster, gateway: Gateway, image: bytes, credential: str) -> bytes:
    """Send an image to the facade, with an API key or a token, and return the JSON response.

    Raises:
        SmokeError: If the gateway is not reachable, or the status is not 200.
    """
    if context.environment.on_azure and context.settings.access is Access.INVOKE:
        return _send_by_curl(context, gateway, image, credential)
    if _is_reachable(gateway.address):
        return _send_by_tls(gateway, gateway.address, _PORT, image, credential)
    with _port_forward(cluster) as port:
        return _send_by_tls(gateway, "127.0.0.1", port, image, credential)


def _is_reachable(address: str) -> bool:
    try:
        with socket.create_connection((address, _PORT), timeout=3):
            return True
    except OSError:
        return False


def _send_by_tls(gateway: Gateway, address: str, port: int, image: bytes, credential: str) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".crt") as ca_file:
        ca_file.write(gateway.ca_certificate)
        ca_file.flush()
        pool = urllib3.HTTPSConnectionPool(
            address,
            port,
            ca_certs=ca_file.name,
            server_hostname=gateway.host,
            assert_hostname=gateway.host,
            timeout=_TIMEOUT_S,
            retries=urllib3.Retry(
                total=3, status_forcelist=(503,), allowed_methods=None, backoff_factor=2, raise_on_status=False
            ),
        )
        headers = {**_HEADERS, "Host": gateway.host, "Authorization": f"Bearer {credential}"}
        try:
            response = pool.request("POST", _PHENOTYPE_PATH, body=image, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise SmokeError(f"https://{gateway.host} at {address}:{port} is not reachable: {error}") from error
        finally:
            pool.close()
    if response.status != 200:
        raise SmokeError(_describe_failure(gateway, response.status, repr(response.data[:500])))
    return response.data


def _describe_failure(gateway: Gateway, status: int, body: str) -> str:
    remedy = f" ({_REMEDIES[status]})" if status in _REMEDIES else ""
    return f"https://{gateway.host} returned status {status}{remedy}: {body}"


@contextmanager
def _port_forward(cluster: Cluster) -> Iterator[int]:
    """Forward a local port to the gateway while the context is open."""
    selector = (
        f"gateway.envoyproxy.io/owning-gateway-namespace={NAMESPACE},gateway.envoyproxy.io/owning-gateway-name=thale"
    )
    found = (cluster.get("services", "--namespace", _ENVOY_NAMESPACE, "--selector", selector) or {}).get("items", ())
    if not found:
        raise SmokeError(
            f"the gateway has no Service in {_ENVOY_NAMESPACE}: install Envoy Gateway with `deploy platform`"
        )
    name = found[0]["metadata"]["name"]
    command = [*cluster.command, "port-forward", "--namespace", _ENVOY_NAMESPACE, f"service/{name}", f":{_PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forward:  # noqa: S603
        try:
            first_line = forward.stdout.readline() if forward.stdout else ""
            match = re.search(r"127\.0\.0\.1:(\d+)", first_line)
            if match is None:
                raise SmokeError(f"kubectl could not forward a port to the gateway: {first_line.strip()}")
            yield int(match.group(1))
        finally:
            forward.terminate()


def _send_by_curl(context: DeployContext, gateway: Gateway, image: bytes, credential: str) -> bytes:
    """Send with curl in a pod. The credential is in a file, because Azure logs the command."""
    with tempfile.TemporaryDirectory(prefix="thale-smoke-") as temp_dir:
        plate, ca_file, headers = (Path(temp_dir) / name for name in ("plate.jpg", "ca.crt", "headers.txt"))
        plate.write_bytes(image)
        ca_file.write_bytes(gateway.ca_certificate)
        lines = {**_HEADERS, "Authorization": f"Bearer {credential}"}
        headers.write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
        command = [
            *("curl", "--silent", "--show-error", "--max-time", str(_TIMEOUT_S), "--cacert", ca_file.name),
            *("--resolve", f"{gateway.host}:{_PORT}:{gateway.address}"),
            *("--header", f"@{headers.name}", "--data-binary", f"@{plate.name}"),
            *("--write-out", "HTTP-STATUS:%{http_code}", f"https://{gateway.host}{_PHENOTYPE_PATH}"),
        ]
        result = run_in_cluster(context, command, [plate, ca_file, headers])
    output = result.logs or ""
    match = _STATUS_PATTERN.search(output)
    if result.exitCode != 0 or match is None:
        raise SmokeError(f"request to https://{gateway.host} from the cluster failed: {output[-500:].strip()}")
    if match.group(1) != "200":
        raise SmokeError(_describe_failure(gateway, int(match.group(1)), output[-500:].strip()))
    return output[: match.start()].encode()
