"""What can be set from outside, all of it in THALE_* environment variables, with defaults for one machine."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale.kserve.inference_service import URL_TEMPLATE
from thale.telemetry.otel_settings import OtelSettings

_HTTP_URL = TypeAdapter(HttpUrl)


def _base_url(value: str) -> str:
    return str(_HTTP_URL.validate_python(value)).rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""An http or https address without a trailing slash."""


class Settings(BaseSettings):
    """The facade's settings. Built once in `__main__` and passed on."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore", protected_namespaces=())

    release_state_path: Path | None = None
    """The release record: which models are served, and which version answers (`contract.ReleaseRecord`)."""
    namespace: str | None = None
    """In a cluster instead: the Kubernetes namespace whose InferenceServices are the releases."""
    predictor_url: str = URL_TEMPLATE
    """In a cluster: where predictors listen; `{service}` and `{namespace}` are filled in."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9090, ge=0, le=65535)
    """0 takes any free port; the log says which."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    model_url: BaseUrl = "http://127.0.0.1:8085"
    management_url: BaseUrl = "http://127.0.0.1:8086"
    segmentation_model: str = "plate-seg"
    """Answers where a request names no segmentation model."""
    landmarks_model: str = "plate-landmarks"
    """Answers where a request names no landmark model."""

    max_body_bytes: int = Field(64 * 2**20, gt=0)
    max_batch: int = Field(16, gt=0)
    """Images in one request of the Open Inference Protocol."""
    request_timeout_s: float = Field(60.0, gt=0)
    """The longest that an answer may take, counted from the last byte of the image. A client may ask for less."""
    upload_timeout_s: float = Field(120.0, gt=0)
    """The longest that a body may take to arrive."""
    upload_idle_timeout_s: float = Field(15.0, gt=0)
    """The longest pause between two pieces of a body."""
    max_in_flight: int = Field(4, gt=0)
    """Images that are measured at once."""
    max_queue_length: int = Field(32, ge=0)
    """Requests beyond those that may wait; one more is refused at once."""
    max_queue_wait_s: float = Field(20.0, gt=0)
    """A request that would wait longer for its place, by the pace of the last ones, is refused at once as well. Well
    below the deadline, or those that were let in would be given up after all."""
    canary_timeout_s: float = Field(10.0, gt=0)
    """The longest that a canary is waited for, and never more than half of the time left: then the stable version is
    asked instead. A version that is silent for so long counts as late for its breaker."""
    breaker_failures: int = Field(5, gt=0)
    """So many failures among the last `breaker_window` outcomes of a version open its breaker."""
    breaker_window: int = Field(10, gt=0)
    stable_breaker_open_s: float = Field(1.0, gt=0)
    """Time in which a stable version that does not answer is asked nothing: requests are told to come back."""
    canary_breaker_open_s: float = Field(5.0, gt=0)
    """Time in which a failing canary is asked nothing: the stable version answers for it."""
    shadow_concurrency: int = Field(1, gt=0)
    """Copies of requests that shadows are asked at once."""
    shadow_duty_cycle: float = Field(0.25, gt=0, le=1)
    """The part of its time that a shadow is kept busy with copies: it may be a canary that users wait for, too."""
    shadow_queue: int = Field(8, gt=0)
    """Copies that wait; one more is dropped."""
    shadow_queue_bytes: int = Field(64 * 2**20, gt=0)
    shadow_timeout_s: float = Field(20.0, gt=0)
    shadow_samples_path: Path | None = None
    """Folder for the pairs of answers, stable and shadow, that agree least; none keeps none."""
    shadow_samples_per_version: int = Field(20, gt=0)
    """Pairs kept of each version."""
    postprocess_workers: int = Field(2, gt=0)
    cost_per_hour: float | None = Field(None, gt=0, allow_inf_nan=False)
    """What this facade and its share of the model servers cost an hour, where somebody knows: told as a metric."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """Of the price, by its ISO 4217 code."""
    otel: OtelSettings = Field(default_factory=OtelSettings)
    """Where traces go: from the standard OTEL_* variables."""

    @model_validator(mode="after")
    def _check_release_source(self) -> Self:
        if (self.release_state_path is None) == (self.namespace is None):
            raise ValueError("say where the releases are: THALE_RELEASE_STATE_PATH or THALE_NAMESPACE, one of them")
        return self
