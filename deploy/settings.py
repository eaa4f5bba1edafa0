"""What an organisation says about an environment: environments/ENV.toml, and THALE_DEPLOY_* variables above it.

How big an environment is stands in terraform/environments/ENV.tfvars; here stands whose it is, and how it is reached.
"""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from deploy.errors import SettingsError

SETTINGS_DIR = Path("deploy") / "environments"
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class Environment(StrEnum):
    """Where thale is deployed to."""

    LAPTOP = "laptop"
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"

    @property
    def on_azure(self) -> bool:
        """Whether Terraform makes it."""
        return self is not Environment.LAPTOP

    @property
    def overlay(self) -> str:
        """The folder below kubernetes/overlays."""
        return f"aks-{self}" if self.on_azure else str(self)


class Access(StrEnum):
    """How the cluster's API server is reached."""

    INVOKE = "invoke"
    """From anywhere: `az aks command invoke` carries each command to a pod in the cluster."""
    DIRECT = "direct"
    """From within the network (a peered one, a VPN, a jump host), or from an authorized range."""


class AlertEmails(BaseModel):
    """Who is woken, and who finds it in the morning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: tuple[str, ...] = Field(min_length=1)
    ticket: tuple[str, ...] = Field(min_length=1)


class Settings(BaseSettings):
    """An environment's settings. What an environment on Azure cannot do without is asked for by preflight."""

    model_config = SettingsConfigDict(env_prefix="THALE_DEPLOY_", env_ignore_empty=True, frozen=True, extra="forbid")

    environment: Environment
    host: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    """The name that the organisation's private DNS gives the gateway. Default: thale.ENV.internal, a name that no
    public DNS will ever have; on a laptop thale.localhost."""
    wait_s: float = Field(default=1800, gt=0)
    """How long pods may take: a node may have to start, and a model to load."""
    poll_interval_s: float = Field(default=5, gt=0)
    """Between two looks at them."""

    subscription_id: str | None = Field(default=None, pattern=_UUID)
    admin_group_ids: tuple[str, ...] = ()
    deployer_ids: tuple[str, ...] = ()
    alert_emails: AlertEmails | None = None
    state_account: str | None = None
    """Storage account of Terraform's state. Default: the one that terraform/bootstrap makes in this subscription."""
    access: Access = Access.INVOKE
    region: str = "primary"
    """Which region's cluster: `primary` or `secondary`."""

    context: str | None = None
    """Laptop: the kubeconfig's context. Default: the current one."""
    registry: str | None = None
    """Laptop: a registry that the cluster pulls from, as localhost:5001. Default: kind, which is loaded directly."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Say that variables win over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def read(cls, environment: Environment, root: Path) -> Self:
        """Return an environment's settings.

        Raises:
            SettingsError: If they cannot be understood.
        """
        path = root / SETTINGS_DIR / f"{environment}.toml"
        environment_settings = type(cls.__name__, (cls,), {"model_config": SettingsConfigDict(toml_file=path)})
        try:
            settings: Self = environment_settings(environment=environment)
        except (ValidationError, ValueError) as error:
            raise SettingsError(f"{path} or a THALE_DEPLOY_ variable cannot be understood: {error}") from error
        return settings

    @property
    def host_name(self) -> str:
        """The gateway's name."""
        return self.host or (
            "thale.localhost" if not self.environment.on_azure else f"thale.{self.environment}.internal"
        )

    @property
    def state_account_name(self) -> str:
        """Where the state is; terraform/bootstrap/state.tf makes the name in the same way."""
        return self.state_account or f"stthalestate{_digest6(f'{self.subscription_id}/thale-state')}"

    def missing_fields(self) -> tuple[str, ...]:
        """Return the names of settings that an environment on Azure cannot do without, and that nobody has set."""
        required = ("subscription_id", "admin_group_ids", "alert_emails") if self.environment.on_azure else ()
        return tuple(name for name in required if not getattr(self, name))


def _digest6(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
