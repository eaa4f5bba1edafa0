"""OpenTelemetry's standard variables that thale reads before it imports the SDK, to decide whether traces are sent.

The SDK and the exporter read all others (headers, certificates, timeouts, sampling, resource attributes, batches):
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from pydantic_settings import BaseSettings, SettingsConfigDict

_TRUE = "true"
_SUPPORTED_PROTOCOL = "http/protobuf"


class OtelSettings(BaseSettings):
    """OpenTelemetry settings, built once at the entry point. By the specification, an empty variable is unset."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", env_ignore_empty=True, frozen=True, extra="ignore")

    exporter_otlp_endpoint: str = ""
    """Base URL of the collector, such as http://collector:4318."""
    exporter_otlp_traces_endpoint: str = ""
    """Full URL for traces. Default: the base URL with /v1/traces."""
    exporter_otlp_protocol: str = _SUPPORTED_PROTOCOL
    """Protocol to the collector. thale supports http/protobuf only."""
    exporter_otlp_traces_protocol: str = ""
    """Protocol for traces, instead of the one for all signals."""
    sdk_disabled: str = ""
    """`true` sends no traces."""
    traces_exporter: str = "otlp"
    """Any other value than `otlp` sends no traces."""
    service_name: str = ""
    """Replaces thale's own service names."""
    bsp_schedule_delay: str = ""
    """Milliseconds between two batches of spans. Replaces thale's own default."""

    @property
    def traces_enabled(self) -> bool:
        """True if a collector is configured and traces are not disabled."""
        return (
            bool(self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint)
            and self.sdk_disabled.strip().lower() != _TRUE
            and self.traces_exporter.strip() == "otlp"
        )

    @property
    def uses_http(self) -> bool:
        """True if the protocol is protobuf over HTTP, the only one that thale supports."""
        return (self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol) == _SUPPORTED_PROTOCOL
