"""Settings of the batch engine: the environment variables of the facade that it shares."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from thale.experiments.address import BlobUrl, DatabaseUrl, StoreAddress
from thale.local.data_dir import DataDir


class BatchSettings(BaseSettings):
    """Settings of a run."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore")

    weights: Path | None = None
    """Folder of MODEL/VERSION weights. None: the packaged ones."""
    segmentation_model: str = "plate-seg"
    """The segmentation model."""
    landmarks_model: str = "plate-landmarks"
    """The landmark model."""
    error_models_path: Path | None = None
    """Folder of the user's error models."""
    experiments_path: Path | None = None
    """Folder of the experiment store. None: that of the data directory."""
    experiments_database_url: DatabaseUrl | None = None
    """PostgreSQL for the experiments. None: SQLite in the folder."""
    experiments_database_password_path: Path | None = None
    """File with the password of the database."""
    experiments_blob_url: BlobUrl | None = None
    """Container for the images. None: the folder."""
    experiments_database_entra: bool = False
    """True if a token of Entra ID is the password of the database."""
    experiments_database_ca_path: Path | None = None
    """Certificates of the authority of the database."""

    def store_address(self, data_dir: DataDir) -> StoreAddress:
        """Return the address of the store."""
        return StoreAddress(
            self.experiments_path or data_dir.experiments,
            self.experiments_database_url,
            self.experiments_database_password_path,
            self.experiments_blob_url,
            self.experiments_database_entra,
            self.experiments_database_ca_path,
        )
