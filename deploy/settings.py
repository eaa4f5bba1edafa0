"""Settings of an environment: environments/ENV.toml, overridden by THALE_DEPLOY_* variables.

They describe ownership and access. The size of an environment is in terraform/environments/ENV.tfvars.
"""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from deploy.errors import MissingPrerequisite, PrerequisitesMissingError, SettingsError

SETTINGS_DIR = Path("deploy") / "environments"
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Environment(StrEnum):
    """An environment that thale is deployed to."""

    LAPTOP = "laptop"
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"

    @property
    def on_azure(self) -> bool:
        """Return whether Terraform creates it on Azure."""
        return self is not Environment.LAPTOP

    @property
    def overlay(self) -> str:
        """The folder below kubernetes/overlays."""
        return f"aks-{self}" if self.on_azure else str(self)


class Access(StrEnum):
    """Access path to the cluster's API server."""

    INVOKE = "invoke"
    """From anywhere: `az aks command invoke` runs each command in a pod of the cluster."""
    DIRECT = "direct"
    """From inside the network (peering, VPN, jump host), or from an authorized address range."""


class AlertEmails(BaseModel):
    """Recipients of pages and of tickets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: tuple[str, ...] = Field(min_length=1)
    ticket: tuple[str, ...] = Field(min_length=1)


class TraceSettings(BaseModel):
    """Destination of traces: variables of the collector (observability/otel/README.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exporter: Literal["debug", "otlp_http/tempo", "azuremonitor"]
    percent: float = Field(default=10, ge=0, le=100)
    """Percentage of ordinary traces that is kept."""
    tempo_endpoint: str | None = Field(default=None, pattern=r"^https?://")
    connection_string: SecretStr | None = None
    """Of Application Insights. It is a secret: set the whole value by the variable THALE_DEPLOY_TRACES, as JSON."""

    @model_validator(mode="after")
    def _require_connection_string(self) -> Self:
        if self.exporter == "azuremonitor" and self.connection_string is None:
            raise ValueError("the exporter azuremonitor requires connection_string")
        return self


class DeploySettings(BaseSettings):
    """An environment's settings. Preflight reports the required fields that are not set."""

    model_config = SettingsConfigDict(env_prefix="THALE_DEPLOY_", env_ignore_empty=True, frozen=True, extra="forbid")

    environment: Environment
    host: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    """Host name of the gateway in the organisation's private DNS. Default: thale.ENV.internal, whose top-level domain
    is reserved for private use; on a laptop thale.localhost."""
    wait_s: float = Field(default=1800, gt=0)
    """Timeout for readiness: a node may have to start, and a model to load."""
    poll_interval_s: float = Field(default=5, gt=0)
    """Interval between two readiness checks."""

    subscription_id: str | None = Field(default=None, pattern=_UUID)
    admin_group_ids: tuple[str, ...] = ()
    alert_emails: AlertEmails | None = None
    entra_audience: str | None = Field(default=None, pattern=_UUID)
    """Client id of the app registration whose tokens the facade accepts (docs/authentication.md)."""
    entra_tenant_id: str | None = Field(default=None, pattern=_UUID)
    """Tenant of the tokens. Default: the tenant of the subscription."""
    state_account: str | None = None
    """Storage account of Terraform's state. Default: the one that terraform/bootstrap creates in this subscription."""
    access: Access = Access.INVOKE
    region: str = "primary"
    """Region of the cluster: `primary` or `secondary`."""

    signing_public_keys: tuple[str, ...] = ()
    """Files with the public keys of trusted signatures, below the checkout (kubernetes/components/signing-keys)."""
    traces: TraceSettings | None = None
    """Destination of traces. Default: unchanged, by default the log of the collector."""
    heartbeat_url: SecretStr | None = None
    """Laptop: receiver of the dead man's switch, notified every 5 minutes. Default: unchanged."""

    runbooks_url: str | None = Field(default=None, pattern=r"^https?://[^#\s]+$")
    """Page of observability/runbooks.md, for the links of alerts. Default: the one of the remote `origin`."""

    context: str | None = None
    """Laptop: context of the kubeconfig. Default: the current one."""
    registry: str | None = None
    """Laptop: a registry that the cluster pulls from, such as localhost:5001. Default: load images into kind."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let environment variables override the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def read(cls, environment: Environment, root: Path) -> Self:
        """Read an environment's settings.

        Raises:
            SettingsError: If they are invalid.
        """
        path = root / SETTINGS_DIR / f"{environment}.toml"
        environment_settings = type(cls.__name__, (cls,), {"model_config": SettingsConfigDict(toml_file=path)})
        try:
            settings: Self = environment_settings(environment=environment)
        except (ValidationError, ValueError) as error:
            raise SettingsError(f"{path} or a THALE_DEPLOY_ variable is invalid: {error}") from error
        return settings

    @property
    def host_name(self) -> str:
        """Host name of the gateway."""
        return self.host or (
            "thale.localhost" if not self.environment.on_azure else f"thale.{self.environment}.internal"
        )

    @property
    def state_account_name(self) -> str:
        """Storage account of Terraform's state; terraform/bootstrap/state.tf computes the same name.

        Raises:
            SettingsError: If neither the account nor the subscription is set.
        """
        if not self.state_account and not self.subscription_id:
            raise SettingsError("subscription_id is not set, and the name of Terraform's state account depends on it")
        return self.state_account or f"stthalestate{_digest6(f'{self.subscription_id}/thale-state')}"

    def require_fields(self) -> None:
        """Check that all required settings are set.

        Raises:
            PrerequisitesMissingError: If settings are missing, with all of them.
        """
        if missing := self.missing_prerequisites():
            raise PrerequisitesMissingError(missing)

    def missing_prerequisites(self) -> list[MissingPrerequisite]:
        """Return the required settings that are not set, each with its remedy."""
        file = SETTINGS_DIR / f"{self.environment}.toml"
        return [
            MissingPrerequisite(
                f"{name} is not set",
                f"set it in {file} (template: {SETTINGS_DIR / 'example.toml'}) or in THALE_DEPLOY_{name.upper()}",
            )
            for name in self.missing_fields()
        ]

    def missing_fields(self) -> tuple[str, ...]:
        """Return the names of required settings that are not set."""
        required = (
            ("subscription_id", "admin_group_ids", "alert_emails", "entra_audience")
            if self.environment.on_azure
            else ()
        )
        return tuple(name for name in required if not getattr(self, name))


def _digest6(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
