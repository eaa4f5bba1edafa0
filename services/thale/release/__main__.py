"""Entry point of the rollout controller in a cluster (`python -m thale.release`), configured by THALE_* variables."""

import logging
import sys

from pydantic import ValidationError

from thale.errors import ThaleError, describe_settings_error
from thale.release.controller.cluster import cluster_environment
from thale.release.controller.controller import Intervals
from thale.release.controller.daemon import ListenAddress, run_daemon
from thale.release.controller.settings import ControllerSettings
from thale.release.copies.copier import ReleaseCopier
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.judge.policy import read_policy
from thale.release.lifecycle.identity import current_user
from thale.release.registry.stores import open_store
from thale.secrets import open_secrets
from thale.secrets.expiry import PollIntervals, export_expiry_metrics
from thale.slo import read_slo
from thale.telemetry import logs


def main() -> int:
    """Run the controller until SIGTERM or SIGINT. Returns the exit status."""
    try:
        settings = ControllerSettings()
    except ValidationError as error:
        sys.stderr.write(describe_settings_error(error))
        return 2
    logs.configure(settings.log_level)
    intervals = Intervals(poll_s=settings.poll_s, checkpoint_s=settings.checkpoint_interval_s, stuck_s=settings.stuck_s)
    try:
        secrets = open_secrets(settings.key_vault, settings.secrets_file)
        with (
            export_expiry_metrics(secrets, PollIntervals(settings.secrets_s)),
            cluster_environment(
                settings.namespace, None, settings.facades, None, copier=_copier(settings.release_copies)
            ) as environment,
        ):
            listen_address = ListenAddress(settings.metrics_host, settings.metrics_port)
            run_daemon(
                environment,
                read_slo(settings.slo_path),
                read_policy(settings.judge_policy_path),
                current_user(settings.user),
                listen_address,
                intervals=intervals,
            )
    except ThaleError as error:
        logging.getLogger(__name__).error("controller failed", extra={"error": str(error)})
        return 1
    return 0


def _copier(location: str | None) -> ReleaseCopier | None:
    return ReleaseCopier(ReleaseCopies(open_store(location))) if location is not None else None


if __name__ == "__main__":
    sys.exit(main())
