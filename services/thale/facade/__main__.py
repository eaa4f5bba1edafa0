"""`python -m thale.facade`: the facade as a process, configured by THALE_* environment variables."""

import sys

from thale.host.interpreter import exclude_current_folder


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    # Imported here because every post-processing worker imports this module and needs no server (ADR 0010).
    from pydantic import ValidationError

    from thale.errors import describe_settings_error
    from thale.facade.app import create_app
    from thale.facade.http.server import serve
    from thale.facade.settings import FacadeSettings
    from thale.telemetry import logs

    try:
        settings = FacadeSettings()
    except ValidationError as error:
        sys.stderr.write(describe_settings_error(error))
        return 2
    logs.configure(settings.log_level)
    return serve(create_app(settings), settings.host, settings.port, settings.max_connections, settings.drain_timeout_s)


if __name__ == "__main__":
    exclude_current_folder()
    sys.exit(main())
