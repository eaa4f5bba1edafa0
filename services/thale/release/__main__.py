"""`python -m thale.release`: the watcher of a cluster's rollouts, set by THALE_* environment variables."""

import logging
import sys

from pydantic import ValidationError

from thale.errors import ThaleError
from thale.release.controller.cluster import releases_in
from thale.release.controller.controller import Pace
from thale.release.controller.daemon import Port, watch_unattended
from thale.release.controller.settings import Settings
from thale.release.lifecycle.identity import signer
from thale.secrets import open_secrets
from thale.secrets.expiry import Rhythm, expiries_told
from thale.slo import read_slo
from thale.telemetry import logs


def main() -> int:
    """Watch until a signal says stop. Returns the exit status."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"THALE_{name}: {fault['msg']}\n")
        return 2
    logs.configure(settings.log_level)
    pace = Pace(settings.poll_s, settings.notes_s, settings.stuck_s)
    try:
        secrets = open_secrets(settings.key_vault, settings.secrets_file)
        with (
            expiries_told(secrets, Rhythm(settings.secrets_s)),
            releases_in(settings.namespace, None, settings.facades, None) as place,
        ):
            port = Port(settings.metrics_host, settings.metrics_port)
            watch_unattended(place, read_slo(settings.slo_path), signer(settings.user), port, pace=pace)
    except ThaleError as error:
        logging.getLogger(__name__).error("watching ended", extra={"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
