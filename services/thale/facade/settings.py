"""Settings of the facade: THALE_* environment variables, with defaults for one machine."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    RedisDsn,
    TypeAdapter,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from thale.experiments.address import BlobUrl, DatabaseUrl
from thale.experiments.webhook_signature import parse_secrets
from thale.host.loopback import is_loopback
from thale.kserve.inference_service import URL_TEMPLATE
from thale.models.model_server_address import ModelServerAddress
from thale.telemetry.otel_settings import OtelSettings


def _authority_url(value: str) -> str:
    url = str(TypeAdapter(HttpUrl).validate_python(value if "://" in value else f"https://{value}")).rstrip("/")
    if not url.startswith("https://"):
        raise ValueError("the authority signs tokens: use its https address")
    return url


AuthorityUrl = Annotated[str, AfterValidator(_authority_url)]
"""An https URL without a trailing slash. The scheme may be missing, as Azure's clients permit."""


_REDIS_URL = TypeAdapter(RedisDsn)


def _limit_store_url(value: str) -> str:
    url = _REDIS_URL.validate_python(value)
    if url.username or url.password:
        raise ValueError(
            "the URL contains a credential: put the password into the file THALE_LIMIT_STORE_PASSWORD_PATH"
        )
    return str(url)


LimitStoreUrl = Annotated[str, AfterValidator(_limit_store_url)]
"""A redis or rediss URL without credentials."""


def _webhook_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
        raise ValueError("events contain names of photographs: use an https address, or http on this machine")
    if not url.hostname or "@" in url.netloc or url.fragment:
        raise ValueError("write https://HOST/PATH, without credentials: each message has a signature")
    return value


WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
"""An https URL, or an http URL on this machine."""


def _require_secrets(path: Path) -> Path:
    """Raise ValueError unless the file has valid secrets."""
    try:
        parse_secrets(path.read_text())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    return path


WebhookSecrets = Annotated[Path, AfterValidator(_require_secrets)]
"""A file with valid secrets."""


def _split_origins(value: object) -> object:
    return [origin.strip() for origin in value.split(",") if origin.strip()] if isinstance(value, str) else value


def _origin(value: str) -> str:
    url = urlsplit(value)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or value.lower() != f"{url.scheme}://{url.netloc}".lower()
    ):
        raise ValueError(
            f"{value!r} is not an origin: list each one as https://HOST or https://HOST:PORT, without a path; "
            "`*` and `null` would let every web page call the facade"
        )
    if "@" in url.netloc or "*" in url.netloc:
        raise ValueError(f"{value!r} is not an exact origin: list each host, without wildcards and credentials")
    return value.lower()


Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split_origins)]
"""Web origins, separated by commas in the environment."""


def _require_error_models(folder: Path) -> Path:
    """Raise ValueError unless the folder has valid error models."""
    # Not imported with the module: SciPy and scikit-image take half of the facade's CPU time at its start.
    from thale.phenotyping.quality.error_model import require_error_models

    return require_error_models(folder)


ErrorModelsFolder = Annotated[Path, AfterValidator(_require_error_models)]
"""A folder with at least one valid error model."""


class FacadeSettings(BaseSettings):
    """The facade's settings. Built once in `__main__` and passed on."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore", protected_namespaces=())

    release_state_path: Path | None = None
    """The release state file, on one machine (`thale.schemas.ReleaseState`)."""
    namespace: str | None = None
    """The Kubernetes namespace whose InferenceServices are the release state, in a cluster."""
    controller_checkpoint_path: Path | None = None
    """The checkpoint of the rollout controller: the verdicts and counts in /v1/rollouts. None: without them."""
    predictor_url: str = URL_TEMPLATE
    """URL of a predictor in a cluster, with the fields `{service}` and `{namespace}`."""

    host: str = "127.0.0.1"
    """Address of the API. Other addresses than loopback require authentication."""
    port: int = Field(8080, ge=0, le=65535)
    """Port of the API. 0 selects a free port."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics and the status page."""
    metrics_port: int = Field(9090, ge=0, le=65535)
    """0 selects a free port, which is logged."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the log."""

    model_url: ModelServerAddress = "http://127.0.0.1:8085"
    """The model server's inference API: an HTTP URL, or unix:PATH."""
    management_url: ModelServerAddress = "http://127.0.0.1:8086"
    """The model server's management API: an HTTP URL, or unix:PATH."""
    model_metrics_url: ModelServerAddress | None = None
    """The model server's metrics, which the facade then serves on its metrics port: Prometheus scrapes no socket."""
    api_keys_path: Path | None = None
    """File of API key records; the pepper is in `secrets.toml` of its folder (`thale.auth.key_file`)."""
    key_vault: str | None = None
    """Name or address of the Key Vault with the API keys (`thale.auth.key_vault_store`), instead of a file."""
    key_vault_interval_s: float = Field(60.0, gt=0)
    """Time between two reads of the Key Vault. A revoked key is rejected after the next read."""
    entra_tenant_id: str | None = Field(None, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    """Tenant of Entra ID whose tokens are accepted. It requires `entra_audience`."""
    entra_audience: str | None = Field(None, min_length=1)
    """Audience of the tokens: the client id of the app registration."""
    entra_web_client_id: str | None = Field(None, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    """Client id of the app registration through which users of the web page sign in. It requires `entra_tenant_id`.
    None: they enter API keys."""
    entra_authority: AuthorityUrl = Field("https://login.microsoftonline.com", validation_alias="AZURE_AUTHORITY_HOST")
    """Authority of the tenant, from the variable of Azure's clients, for other clouds than the public one."""
    credentials_max_age_s: float = Field(24 * 3600.0, gt=0)
    """Maximum time for which the last known credentials are used while their source is unavailable. Afterwards,
    requests with credentials of this source get 503."""
    segmentation_model: str = "plate-seg"
    """The segmentation model of a request that names none."""
    landmarks_model: str = "plate-landmarks"
    """The landmark model of a request that names none."""

    scale_to_zero: bool = False
    """True if predictors may have no replica. Requests then wait for one until shortly before their deadline, and the
    facade is ready without one, because a request must reach it to start a replica."""

    max_body_bytes: int = Field(64 * 2**20, gt=0)
    """Maximum size of a request body. A larger one gets 413."""
    max_batch: int = Field(16, gt=0)
    """Maximum number of images in one request of the Open Inference Protocol."""
    request_timeout_s: float = Field(60.0, gt=0)
    """Maximum time to the response, from the last byte of the image. A client may set a shorter one."""
    drain_timeout_s: float = Field(75.0, gt=0)
    """Maximum time from SIGTERM to the responses of the requests in flight. Requests that take longer get 503. Keep it
    above `request_timeout_s`, and below the orchestrator's time limit for a stop."""
    upload_timeout_s: float = Field(120.0, gt=0)
    """Maximum time for a whole body."""
    upload_idle_timeout_s: float = Field(15.0, gt=0)
    """Maximum time between two chunks of a body."""
    max_connections: int = Field(512, gt=0)
    """Open connections. A further one closes the connection that is idle for the longest time, or gets 503."""
    max_uploads: int = Field(128, gt=0)
    """Request bodies that may arrive at the same time. A further one ends the slowest, or is rejected with 503."""
    max_buffered_bytes: int = Field(512 * 2**20, gt=0)
    """Maximum memory of all request bodies: arriving ones by their Content-Length, and those in flight."""
    max_in_flight: int = Field(4, gt=0)
    """Concurrency limit: images that are processed at the same time."""
    max_queue_length: int = Field(32, ge=0)
    """Images that may wait for a processing slot. The next one is rejected with 503."""
    max_queue_wait_s: float = Field(20.0, gt=0)
    """A request with a longer expected wait is rejected with 503. Keep it well below `request_timeout_s`, or accepted
    requests time out."""
    canary_timeout_s: float = Field(10.0, gt=0)
    """Minimum of the timeout of a canary's response; stable then serves the request. The timeout is
    `canary_timeout_factor` times the stable version's p99, at least this value and at most half of the remaining time.
    It counts as a failure in the version's circuit breaker if the version had its full time."""
    canary_timeout_factor: float = Field(3.0, ge=1)
    """Ratio of a canary's timeout to the stable version's p99 latency over its last 256 responses."""
    breaker_failures: int = Field(5, gt=0)
    """Failures among the last `breaker_window` outcomes of a stable version that open its circuit breaker."""
    breaker_window: int = Field(10, gt=0)
    """Outcomes that a stable version's circuit breaker counts."""
    canary_breaker_failures: int = Field(8, gt=0)
    """Failures among the last `canary_breaker_window` outcomes of a canary that open its circuit breaker. The judge
    needs 4 to 8 failures for a rollback after up to 1000 good responses."""
    canary_breaker_window: int = Field(16, gt=0)
    """Outcomes that a canary's circuit breaker counts."""
    stable_breaker_open_s: float = Field(1.0, gt=0)
    """Open interval of a stable version's circuit breaker: its requests get 503 with Retry-After."""
    canary_breaker_open_s: float = Field(5.0, gt=0)
    """Open interval of a canary's circuit breaker: stable serves its requests."""
    shadow_concurrency: int = Field(1, gt=0)
    """Shadow requests that run at the same time."""
    shadow_duty_cycle: float = Field(0.25, gt=0, le=1)
    """Maximum share of time in which a shadow is busy with shadow requests. It may also serve clients as a canary."""
    shadow_queue: int = Field(8, gt=0)
    """Shadow requests that may wait. The next one is dropped."""
    shadow_queue_bytes: int = Field(64 * 2**20, gt=0)
    """Maximum memory of the images that wait for the shadow."""
    shadow_timeout_s: float = Field(20.0, gt=0)
    """Timeout of a shadow request."""
    error_models_path: ErrorModelsFolder | None = None
    """Folder of error models for your own weights (`thale-models fit-error-model --out`), read at the start."""
    shadow_samples_path: Path | None = None
    """Folder for the shadow samples with the lowest agreement scores. None stores no samples."""
    shadow_samples_per_version: int = Field(20, gt=0)
    """Maximum number of stored shadow samples of each version."""
    caller_rate_per_s: float = Field(10.0, gt=0, le=10_000)
    """Sustained POST requests per second of one caller: the refill rate of its token bucket."""
    caller_burst: int = Field(20, gt=0, le=1_000_000)
    """POST requests that one caller may send at once: the size of its token bucket."""
    caller_concurrency: int = Field(8, gt=0, le=10_000)
    """POST requests of one caller that may be in flight at the same time."""
    caller_daily_requests: int = Field(20_000, gt=0, le=10**9)
    """Daily budget of one caller in POST requests, by UTC day."""
    caller_daily_megapixels: int = Field(400_000, gt=0, le=10**9)
    """Daily budget of one caller in megapixels, by UTC day and by image header."""
    limit_store_url: LimitStoreUrl | None = None
    """Redis or Valkey that all replicas share for the limits: redis://HOST:PORT/DB or rediss://. None: in process."""
    limit_store_password_path: Path | None = None
    """File with the password of the limit store. It is read for each connection."""
    limit_store_timeout_s: float = Field(0.05, gt=0, le=5)
    """Maximum time of one call of the limit store. Limits then apply in process."""
    web_page: bool = True
    """True to serve the web page to browsers at /. Other clients get the index as JSON in any case."""
    experiments_path: Path | None = None
    """Folder of the experiment store: its database, its images and its lock. None stores no experiments."""
    experiments_database_url: DatabaseUrl | None = None
    """PostgreSQL for the experiments, as postgresql://USER@HOST:PORT/DATABASE. None: SQLite in the folder."""
    experiments_database_password_path: Path | None = None
    """File with the password of the PostgreSQL user. It is read for each connection."""
    experiments_database_entra: bool = False
    """True to connect with a token of Entra ID instead of a password: the workload identity of the pod, or `az login`.
    The certificate of the server is then verified."""
    experiments_database_ca_path: Path | None = None
    """Certificates of the authorities that PostgreSQL's certificate may come from. None: public authorities with
    Entra ID, and no verification without it."""
    experiments_blob_url: BlobUrl | None = None
    """Container for the images of experiments, as https://ACCOUNT.blob.core.windows.net/CONTAINER. None: the folder."""
    webhook_url: WebhookUrl | None = None
    """Receiver of the events of jobs, as https://HOST/PATH. None sends none."""
    webhook_secrets_path: WebhookSecrets | None = None
    """File with a secret of Standard Webhooks on each line (`whsec_` and base64). Each message is signed with all of
    them. The file is read for each message."""
    cors_origins: Origins = ()
    """Origins whose web pages may call the API, such as https://lab.example.org, separated by commas."""
    postprocess_workers: int = Field(2, gt=0)
    """Processes for tracing, traits and overlays."""
    postprocess_memory_bytes: int = Field(896 * 2**20, gt=0)
    """Memory that a post-processing task may allocate. The overlay of 100 million pixels in a file of 61 MiB needs up
    to 860 MiB. A task that needs more gets 413."""
    cost_per_hour: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Cost per hour of this facade and its share of the model servers, exported as a metric if set."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """ISO 4217 code of the cost's currency."""
    otel: OtelSettings = Field(default_factory=OtelSettings)
    """Destination of traces, from the standard OTEL_* variables."""

    @model_validator(mode="after")
    def _check_release_source(self) -> Self:
        if (self.release_state_path is None) == (self.namespace is None):
            raise ValueError("the release state has no single source: set THALE_RELEASE_STATE_PATH or THALE_NAMESPACE")
        return self

    @model_validator(mode="after")
    def _check_experiment_store(self) -> Self:
        if self.experiments_path is None and (self.experiments_database_url or self.experiments_blob_url):
            raise ValueError("the experiment store has no folder for its lock: set THALE_EXPERIMENTS_PATH")
        if (self.webhook_url is None) != (self.webhook_secrets_path is None):
            raise ValueError("a webhook needs both: set THALE_WEBHOOK_URL and THALE_WEBHOOK_SECRETS_PATH")
        if self.experiments_path is None and self.webhook_url is not None:
            raise ValueError("only jobs of experiments have events: set THALE_EXPERIMENTS_PATH")
        if self.experiments_database_entra and self.experiments_database_url is None:
            raise ValueError("Entra ID has no database to sign in to: set THALE_EXPERIMENTS_DATABASE_URL")
        if self.experiments_database_entra and self.experiments_database_password_path is not None:
            raise ValueError(
                "the database has two sources of passwords: set THALE_EXPERIMENTS_DATABASE_ENTRA or "
                "THALE_EXPERIMENTS_DATABASE_PASSWORD_PATH, not both"
            )
        return self

    @property
    def requires_authentication(self) -> bool:
        """True if a source of credentials is configured."""
        return self.api_keys_path is not None or self.key_vault is not None or self.entra_tenant_id is not None

    @model_validator(mode="after")
    def _check_credential_sources(self) -> Self:
        if self.api_keys_path is not None and self.key_vault is not None:
            raise ValueError("there are two stores of API keys: set THALE_API_KEYS_PATH or THALE_KEY_VAULT, not both")
        if (self.entra_tenant_id is None) != (self.entra_audience is None):
            raise ValueError("Entra ID is half configured: set both THALE_ENTRA_TENANT_ID and THALE_ENTRA_AUDIENCE")
        if self.entra_web_client_id is not None and self.entra_tenant_id is None:
            raise ValueError(
                "users of the web page would get tokens that the facade rejects: set THALE_ENTRA_TENANT_ID and "
                "THALE_ENTRA_AUDIENCE, or remove THALE_ENTRA_WEB_CLIENT_ID"
            )
        return self

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        if not self.requires_authentication and not is_loopback(self.host):
            raise ValueError(
                f"other machines could send requests to {self.host} without authentication: "
                "set THALE_API_KEYS_PATH, THALE_KEY_VAULT or THALE_ENTRA_TENANT_ID, or THALE_HOST=127.0.0.1"
            )
        return self
