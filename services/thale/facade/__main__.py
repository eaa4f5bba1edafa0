"""`python -m thale.facade`: the facade as a process, configured by THALE_* environment variables."""

import sys

from thale.interpreter import exclude_current_folder

_GRACE_S = 10


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    # Imported here because every post-processing worker imports this module and needs no server (ADR 0010).
    import uvicorn
    from pydantic import ValidationError

    from thale.errors import describe_settings_error
    from thale.facade.app import create_app
    from thale.facade.settings import FacadeSettings
    from thale.telemetry import logs

    try:
        settings = FacadeSettings()
    except ValidationError as error:
        sys.stderr.write(describe_settings_error(error))
        return 2
    logs.configure(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http="h11",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return 0


if __name__ == "__main__":
    exclude_current_folder()
    sys.exit(main())
