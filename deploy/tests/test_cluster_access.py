"""Messages about a cluster without access, from recorded texts of kubectl 1.32 and an API server 1.36."""

from pathlib import Path
from typing import Any

import pytest

from deploy import cli
from deploy.cluster_access import access_error
from deploy.context import DeployContext
from deploy.errors import CommandError

NO_CONTEXT = "error: current-context must exist in order to minify"
BROKEN = "error: error loading config file \"/home/anna/.kube/config\": yaml: line 2: did not find expected ',' or ']'"
NO_AUTHORITY = "error: open /home/anna/ca.crt: no such file or directory"
EXPIRED = (
    "E1130 memcache.go:265] couldn't get current server API group list\n"
    "error: You must be logged in to the server (Unauthorized)"
)
NEW_CLUSTER = (
    "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority"
)
REFUSED = "The connection to the server 127.0.0.1:26999 was refused - did you specify the right host or port?"
NO_NAME = "Unable to connect to the server: dial tcp: lookup api.example.org on 10.0.0.53:53: no such host"


@pytest.mark.parametrize(
    ("output", "problem", "remedy"),
    [
        (NO_CONTEXT, "no cluster of laptop is selected (error: current-context", "run make kind-up, select a context"),
        ("error: cannot locate context nope", "no cluster of laptop is selected", "set `context = …`"),
        (BROKEN, "the kubeconfig of laptop cannot be used (error: error loading config file", "KUBECONFIG"),
        (NO_AUTHORITY, "the kubeconfig of laptop cannot be used (error: open", "KUBECONFIG"),
        (EXPIRED, "the cluster of laptop rejects the credentials of the kubeconfig (error: You must", "sign in again"),
        (NEW_CLUSTER, "the cluster of laptop has another certificate authority", "kind export kubeconfig"),
        (REFUSED, "the cluster of laptop does not respond (The connection", "start the cluster"),
        (NO_NAME, "the cluster of laptop does not respond (Unable to connect", "start the cluster"),
        *(
            (
                f"dial tcp 10.0.0.1:443: {reason}",
                "the cluster of laptop does not respond (dial tcp",
                "start the cluster",
            )
            for reason in (
                "connect: no route to host",
                "i/o timeout",
                "context deadline exceeded",
                "TLS handshake timeout",
            )
        ),
    ],
)
def test_access_error_is_one_sentence_with_its_remedy(output: str, problem: str, remedy: str) -> None:
    error = access_error("laptop", CommandError(("kubectl", "get"), 1, output))
    assert error is not None
    assert error.problem.startswith(problem)
    assert remedy in error.remedy
    assert "\n" not in str(error)


def test_access_error_on_azure_has_a_remedy_for_azure() -> None:
    error = access_error("dev", CommandError(("kubectl", "get"), 1, EXPIRED))
    assert error is not None
    assert str(error).endswith(": run az login")


@pytest.mark.parametrize(
    "output",
    ['Error from server (NotFound): namespaces "thale" not found', "Error from server (Forbidden): pods is forbidden"],
)
def test_other_errors_of_kubectl_are_no_access_errors(output: str) -> None:
    assert access_error("laptop", CommandError(("kubectl", "get"), 1, output)) is None


def test_read_only_checkout_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    def fail(_context: DeployContext) -> Path:
        raise OSError(30, "Read-only file system", str(tmp_path / ".deploy"))

    monkeypatch.setattr(DeployContext, "folder", property(fail))
    monkeypatch.setattr("sys.argv", ["deploy", "plan", "--env", "laptop"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"deploy: {tmp_path}/.deploy: Read-only file system: run it in a checkout that you may write to"
    ]
