"""Whether traces are sent: OpenTelemetry's standard variables, as far as thale reads them before the SDK is there.

Everything else (headers, certificates, timeouts, sampling, resource attributes, batches) the SDK and the exporter read
themselves: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from pydantic_settings import BaseSettings, SettingsConfigDict

_TRUE = "true"
_SUPPORTED_PROTOCOL = "http/protobuf"


class OtelSettings(BaseSettings):
    """Built once, where a process starts. A variable that is empty counts as not set, as the specification says."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", env_ignore_empty=True, frozen=True, extra="ignore")

    exporter_otlp_endpoint: str = ""
    """Base address of the collector, as http://collector:4318."""
    exporter_otlp_traces_endpoint: str = ""
    """The whole address for traces, where it is not the base address and /v1/traces."""
    exporter_otlp_protocol: str = _SUPPORTED_PROTOCOL
    exporter_otlp_traces_protocol: str = ""
    sdk_disabled: str = ""
    traces_exporter: str = "otlp"
    service_name: str = ""
    """Stands in for thale's own names of its services."""
    bsp_schedule_delay: str = ""
    """Milliseconds between two batches of spans, where they are not to be thale's own."""

    @property
    def traces_enabled(self) -> bool:
        """Whether there is a collector, and nothing says that it gets no traces."""
        return (
            bool(self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint)
            and self.sdk_disabled.strip().lower() != _TRUE
            and self.traces_exporter.strip() == "otlp"
        )

    @property
    def uses_http(self) -> bool:
        """Whether spans are to travel as protobuf over HTTP, the one way that thale knows."""
        return (self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol) == _SUPPORTED_PROTOCOL
