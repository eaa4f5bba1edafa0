"""Errors of experiments, of their measurements and jobs, and of the store that keeps them."""

from thale.errors.thale_error import ThaleError


class ExperimentError(ThaleError):
    """A request about an experiment cannot be served."""

    code = "experiment"


class ExperimentsDisabledError(ExperimentError):
    """This server stores no experiments. Its operator enables them with THALE_EXPERIMENTS_PATH."""

    code = "experiments-disabled"

    def __init__(self) -> None:
        super().__init__("this server stores no experiments: its operator enables them with THALE_EXPERIMENTS_PATH")


class UnknownExperimentError(ExperimentError):
    """No experiment has this id or name."""

    code = "unknown-experiment"


class ExperimentExistsError(ExperimentError):
    """Another experiment has this name. Choose another name, or add to the existing experiment."""

    code = "experiment-exists"


class UnknownImageError(ExperimentError):
    """The experiment has no image with this digest."""

    code = "unknown-image"


class UnknownMeasurementError(ExperimentError):
    """No measurement has this id. It was deleted with its experiment, or it is of another server."""

    code = "unknown-measurement"


class UnknownBrapiObjectError(ExperimentError):
    """No object of BrAPI has this identifier. It was deleted with its experiment, or it is of another server."""

    code = "unknown-brapi-object"


class UnknownJobError(ExperimentError):
    """No job has this id. It was deleted with its experiment, or it is of another server."""

    code = "unknown-job"


class DesignTableError(ExperimentError):
    """The design table is invalid: a column, a row or a cell, which the message names."""

    code = "design-table"


class ExperimentStoreError(ExperimentError):
    """The store of experiments cannot be used at present: its disk is full, or its database does not respond.

    Nothing is lost. Measurements without an experiment are not affected.
    """

    code = "experiment-store"


class SchemaVersionError(ExperimentStoreError):
    """A newer version of thale wrote the store. Use that version, or a backup from before its upgrade."""

    code = "schema-version"
