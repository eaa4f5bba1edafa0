"""Tables of the store, in SQLAlchemy's typed declarative form. `migrations` creates them.

Times are UTC in ISO 8601, so that both databases sort them and return the same text.
"""

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
_DELETE = "CASCADE"


class Table(DeclarativeBase):
    """Base class of the tables."""

    metadata = MetaData(naming_convention=NAMES)


class ExperimentRow(Table):
    """An experiment."""

    __tablename__ = "experiments"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    description: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str] = mapped_column(String(32))
    created_by: Mapped[str] = mapped_column(String(200))
    design_columns: Mapped[list[str]] = mapped_column(JSON)
    retain_until: Mapped[str | None] = mapped_column(String(10))
    """Last day on which the experiment is kept, in ISO 8601. None: it is kept until it is deleted."""


class DesignRow(Table):
    """One row of the design table of an experiment. `cells` has one text for each column."""

    __tablename__ = "design_rows"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete=_DELETE), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    cells: Mapped[list[str]] = mapped_column(JSON)


class ImageRow(Table):
    """An image by the digest of its bytes, which are in the blob store."""

    __tablename__ = "images"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size_bytes: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[str] = mapped_column(String(32))


class MeasurementRow(Table):
    """One measurement of an image by versions of the models, with parameters. It is never changed."""

    __tablename__ = "measurements"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256", ondelete=_DELETE), index=True)
    models: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    config_digest: Mapped[str] = mapped_column(String(80))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    package_version: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[str] = mapped_column(String(32))
    document_digest: Mapped[str] = mapped_column(String(64))


class MeasurementDocument(Table):
    """The whole phenotype of a measurement, as compressed JSON without the name of the image."""

    __tablename__ = "measurement_documents"

    measurement_id: Mapped[str] = mapped_column(ForeignKey("measurements.id", ondelete=_DELETE), primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class SubjectRow(Table):
    """A plant or a plate of a measurement: one row of a wide table. `flags` are those of the subject and the image."""

    __tablename__ = "subjects"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    measurement_id: Mapped[str] = mapped_column(ForeignKey("measurements.id", ondelete=_DELETE), index=True)
    number: Mapped[int]
    level: Mapped[str] = mapped_column(String(8))
    plate: Mapped[int | None]
    plant: Mapped[int | None]
    flags: Mapped[str] = mapped_column(Text)
    scale_source: Mapped[str] = mapped_column(String(16))
    mm_per_px: Mapped[float | None]
    plate_width_mm: Mapped[float | None]


class TraitDefinitionRow(Table):
    """A trait with its unit and ontology term, as the measurement named it."""

    __tablename__ = "trait_definitions"
    __table_args__ = (
        UniqueConstraint(
            *("trait", "unit", "ontology_id", "ontology_relation", "ontology_qualifier"), name="uq_trait_definitions"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    trait: Mapped[str] = mapped_column(String(100))
    unit: Mapped[str] = mapped_column(String(20))
    ontology_id: Mapped[str] = mapped_column(String(40))
    ontology_relation: Mapped[str] = mapped_column(String(20))
    ontology_qualifier: Mapped[str] = mapped_column(String(200))


class TraitRow(Table):
    """One value of one subject. NULL is an unknown value."""

    __tablename__ = "traits"

    subject_id: Mapped[int] = mapped_column(ForeignKey("subjects.id", ondelete=_DELETE), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    definition_id: Mapped[int] = mapped_column(ForeignKey("trait_definitions.id"))
    value: Mapped[float | None]
    interval_low: Mapped[float | None]
    interval_high: Mapped[float | None]
    quality: Mapped[str] = mapped_column(String(10))
    flags: Mapped[str] = mapped_column(Text)


class ExperimentImageRow(Table):
    """An image of an experiment, with its name and plate there, and its current measurement."""

    __tablename__ = "experiment_images"
    __table_args__ = (Index(None, "experiment_id", "number"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete=_DELETE), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"), primary_key=True, index=True)
    number: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    plate: Mapped[str] = mapped_column(Text)
    added_at: Mapped[str] = mapped_column(String(32))
    measurement_id: Mapped[str | None] = mapped_column(ForeignKey("measurements.id"), index=True)


class ExperimentMeasurementRow(Table):
    """A measurement that an experiment requested: the current one of an image, or an earlier one."""

    __tablename__ = "experiment_measurements"
    __table_args__ = (Index(None, "experiment_id", "number"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete=_DELETE), primary_key=True)
    measurement_id: Mapped[str] = mapped_column(
        ForeignKey("measurements.id", ondelete=_DELETE), primary_key=True, index=True
    )
    number: Mapped[int]
    added_at: Mapped[str] = mapped_column(String(32))


class CorrectionRow(Table):
    """A correction of a measurement by a person. The measurement stays as it is."""

    __tablename__ = "corrections"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    measurement_id: Mapped[str] = mapped_column(ForeignKey("measurements.id", ondelete=_DELETE), index=True)
    created_at: Mapped[str] = mapped_column(String(32))
    created_by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    plants: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class JobRow(Table):
    """A job: the measurement of images of an experiment in the background."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete=_DELETE), index=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    priority: Mapped[int]
    created_at: Mapped[str] = mapped_column(String(32))
    created_by: Mapped[str] = mapped_column(String(200))
    finished_at: Mapped[str | None] = mapped_column(String(32))
    is_cancelled: Mapped[bool]


class JobItemRow(Table):
    """One image of a job. A worker that measures it renews its lease. Another one takes it after the lease ends."""

    __tablename__ = "job_items"
    __table_args__ = (Index(None, "state", "lease_until"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=_DELETE), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"), primary_key=True, index=True)
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[int]
    reason: Mapped[str | None] = mapped_column(Text)
    measurement_id: Mapped[str | None] = mapped_column(String(40))
    worker: Mapped[str | None] = mapped_column(String(40))
    lease_until: Mapped[float]


class EventRow(Table):
    """An event of a job, in the order of its id."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=_DELETE), index=True)
    created_at: Mapped[str] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(String(20))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    delivered_at: Mapped[str | None] = mapped_column(String(32))
    """Time at which the webhook accepted the event. None: not yet, or never."""
    delivery_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    next_delivery_at: Mapped[float] = mapped_column(default=0.0, server_default="0")
    """Earliest time of the next attempt, in seconds since 1970."""
    __table_args__ = (Index(None, "type", "created_at"),)
