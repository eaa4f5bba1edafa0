"""Reasons for which kubectl has no access to a cluster, in one sentence with the remedy for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.errors import ClusterUnreachableError, CommandError

_SELECT = "select a context with kubectl config use-context, or set `context = …` in the settings"
_LIST = "to one of: kubectl config get-contexts"


@dataclass(frozen=True)
class _Cause:
    """Texts of kubectl for one cause, and the sentence about it."""

    texts: Sequence[str]
    problem: str
    """With `{environment}`, before the text of kubectl."""
    laptop_remedy: str
    azure_remedy: str


_FETCH_AGAIN = "delete {environment}'s *.kubeconfig in .deploy/{environment}, which is then fetched again"
_CAUSES = (
    _Cause(
        ("You must be logged in to the server", "Unauthorized", "getting credentials: exec"),
        "the cluster of {environment} rejects the credentials of the kubeconfig",
        "they may have expired: sign in again (on kind: kind export kubeconfig --name NAME)",
        "run az login",
    ),
    _Cause(
        ("x509:", "failed to verify certificate"),
        "the cluster of {environment} has another certificate authority than the kubeconfig",
        "if the cluster is new, get its kubeconfig again (on kind: kind export kubeconfig --name NAME)",
        _FETCH_AGAIN,
    ),
    _Cause(
        ("current-context must exist", "cannot locate context", "context was not found", "does not exist in context"),
        "no cluster of {environment} is selected",
        f"run make kind-up, {_SELECT} {_LIST}",
        _FETCH_AGAIN,
    ),
    _Cause(
        (
            "error loading config file",
            "error: open ",
            "unable to read",
            "Error in configuration",
            "invalid configuration",
        ),
        "the kubeconfig of {environment} cannot be used",
        "repair it, or select another file with the variable KUBECONFIG",
        _FETCH_AGAIN,
    ),
    _Cause(
        (
            "connection refused",
            "was refused",
            "no such host",
            "no route to host",
            "i/o timeout",
            "Unable to connect to the server",
            "context deadline exceeded",
            "Client.Timeout exceeded",
            "TLS handshake timeout",
            ": EOF",
        ),
        "the cluster of {environment} does not respond",
        f"start the cluster, or set `context = …` in the settings {_LIST}",
        'see docs/deploy.md, "Access to a private cluster"',
    ),
)
"""Causes, the most specific first: kubectl prefixes some of them with `Unable to connect to the server`."""


def access_error(environment: str, error: CommandError) -> ClusterUnreachableError | None:
    """Return the error for output of kubectl about a cluster without access, or None if it is about something else."""
    lines = [line.strip() for line in error.output.splitlines()]
    for cause in _CAUSES:
        reasons = [line for line in lines if any(text in line for text in cause.texts)]
        if reasons:
            remedy = cause.laptop_remedy if environment == "laptop" else cause.azure_remedy
            problem = f"{cause.problem} ({reasons[-1]})"
            return ClusterUnreachableError(
                error, problem.replace("{environment}", environment), remedy.replace("{environment}", environment)
            )
    return None
