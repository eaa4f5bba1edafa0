"""Tokens of Entra ID as passwords of Azure Database for PostgreSQL, and its verified TLS connection.

The server checks a token when a connection opens. An open connection outlives its token.
"""

import threading
from pathlib import Path

from thale.errors import ExperimentStoreError

_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
_CLIENT_OPTIONS = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}
"""Options of each request to Entra. By default Azure's clients wait five minutes to connect."""


class EntraToken:
    """Token of this process's identity: the workload identity of a pod, or `az login`."""

    def __init__(self) -> None:
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError as error:
            raise ExperimentStoreError(
                "tokens of Entra ID for the database require the Azure packages: pip install 'thale[azure]'"
            ) from error
        self._credential = DefaultAzureCredential(**_CLIENT_OPTIONS)
        self._lock = threading.Lock()

    def value(self) -> str:
        """Return a token that has not expired. The credential keeps it, and requests the next one before its expiry.

        Raises:
            ExperimentStoreError: If Entra issues no token.
        """
        from azure.core.exceptions import AzureError

        try:
            with self._lock:  # threads that connect together cause one request
                return self._credential.get_token(_SCOPE).token
        except AzureError as error:
            cause = " ".join(str(error).split())[:300]
            raise ExperimentStoreError(
                f"Entra ID issued no token for the experiment database ({cause}): run with a workload identity, or "
                "run `az login`"
            ) from error


def verified_tls(ca_path: Path | None) -> dict[str, str]:
    """Return the options of a connection that checks the certificate of the server and its host name.

    Args:
        ca_path: Certificates of the accepted authorities. None: the public ones of certifi, because the libpq in
            psycopg's wheel does not find those of the system.
    """
    if ca_path is None:
        import certifi

        ca_path = Path(certifi.where())
    return {"sslmode": "verify-full", "sslrootcert": str(ca_path)}
