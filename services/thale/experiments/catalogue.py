"""Experiments and their design tables."""

import datetime
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, insert, or_, select, update

from thale.errors import ExperimentExistsError, ExperimentStoreError, UnknownExperimentError
from thale.experiments.blobs import ImageBlobs
from thale.experiments.database import Database
from thale.experiments.design import ParsedDesign, match_rows
from thale.experiments.models import DesignRow, ExperimentImageRow, ExperimentRow, ImageRow
from thale.experiments.statements import insert_if_absent, new_id, utc_now
from thale.schemas.experiment import (
    DeletedExperiment,
    DesignTable,
    Experiment,
    ExperimentPage,
    ExperimentUpdate,
)

_IMAGES_AT_A_TIME = 500


@dataclass(frozen=True)
class ExpiredExperiments:
    """Result of a search for experiments whose last day has passed."""

    deleted: tuple[DeletedExperiment, ...]
    failed: tuple[str, ...]
    """Ids of experiments that could not be deleted."""


class ExperimentCatalogue:
    """Creates, lists, describes and deletes experiments."""

    def __init__(self, database: Database, blobs: ImageBlobs) -> None:
        self._database = database
        self._blobs = blobs

    def create(
        self, name: str, description: str, created_by: str, retain_until: datetime.date | None = None
    ) -> Experiment:
        """Create an experiment. `retain_until` is the last day on which it is kept; without it, it stays.

        Raises:
            ExperimentExistsError: If another one has this name.
        """
        row: dict[str, Any] = {
            "id": new_id("exp"),
            "name": name,
            "description": description,
            "created_at": utc_now(),
            "created_by": created_by,
            "design_columns": [],
            "retain_until": _day(retain_until),
        }
        with self._database.write() as connection:
            if not insert_if_absent(connection, ExperimentRow, row):
                raise ExperimentExistsError(
                    f"an experiment {name!r} exists: choose another name, or add images to the existing one"
                )
            return get_experiment(connection, str(row["id"]))

    def get(self, id_or_name: str) -> Experiment:
        """Return an experiment.

        Raises:
            UnknownExperimentError: If none has this id or name.
        """
        with self._database.read() as connection:
            return get_experiment(connection, id_or_name)

    def list(self, limit: int, cursor: str | None) -> ExperimentPage:
        """Return a page of experiments, the newest first. `cursor` is that of the page before."""
        statement = _experiments().order_by(ExperimentRow.created_at.desc(), ExperimentRow.id.desc()).limit(limit + 1)
        if cursor is not None:
            created_at, _, last_id = cursor.partition("~")
            statement = statement.where(
                or_(
                    ExperimentRow.created_at < created_at,
                    (ExperimentRow.created_at == created_at) & (ExperimentRow.id < last_id),
                )
            )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        items = tuple(Experiment.model_validate(row._mapping) for row in rows[:limit])
        has_more = len(rows) > limit
        return ExperimentPage(items=items, next_cursor=f"{items[-1].created_at}~{items[-1].id}" if has_more else None)

    def update(self, id_or_name: str, changes: ExperimentUpdate) -> Experiment:
        """Change the fields of an experiment that were sent, and return it.

        Raises:
            UnknownExperimentError: If none has this id or name.
        """
        values = changes.model_dump(mode="json", exclude_unset=True)
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, id_or_name)
            if values:
                connection.execute(update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(**values))
            return get_experiment(connection, experiment_id)

    def delete_expired(self, today: datetime.date) -> ExpiredExperiments:
        """Delete the experiments whose last day has passed, each in a transaction of its own.

        Several processes may do this at the same time. An experiment that cannot be deleted does not affect the
        others: the next call tries it again.

        Raises:
            ExperimentStoreError: If the experiments cannot be read.
        """
        is_expired = ExperimentRow.retain_until < today.isoformat()
        with self._database.read() as connection:
            expired = connection.execute(select(ExperimentRow.id).where(is_expired).order_by(ExperimentRow.id))
            ids = expired.scalars().all()
        deleted, failed = [], []
        for experiment_id in ids:
            try:
                found = self._delete_if(experiment_id, is_expired)
            except ExperimentStoreError:
                failed.append(experiment_id)
            else:
                deleted += [] if found is None else [found]
        return ExpiredExperiments(tuple(deleted), tuple(failed))

    def _delete_if(self, experiment_id: str, condition: ColumnElement[bool]) -> DeletedExperiment | None:
        """Delete an experiment if a condition still holds, for its last day may have changed. None: not deleted."""
        with suppress(UnknownExperimentError), self._database.write() as connection:
            lock_experiment(connection, experiment_id)  # another process may have deleted it
            still = select(ExperimentRow.id).where(ExperimentRow.id == experiment_id, condition)
            if connection.execute(still).one_or_none() is not None:
                return self._delete(connection, experiment_id)
        return None

    def delete(self, id_or_name: str) -> DeletedExperiment:
        """Delete an experiment, with the images and measurements that no other experiment contains.

        Raises:
            UnknownExperimentError: If none has this id or name.
            ExperimentStoreError: If the bytes of an image cannot be deleted. The experiment then stays.
        """
        with self._database.write() as connection:
            return self._delete(connection, lock_experiment(connection, id_or_name))

    def _delete(self, connection: Connection, experiment_id: str) -> DeletedExperiment:
        """Delete a locked experiment. The bytes of its own images are deleted before the commit."""
        own = select(ExperimentImageRow.sha256).where(ExperimentImageRow.experiment_id == experiment_id)
        digests = list(connection.execute(own).scalars())
        connection.execute(delete(ExperimentRow).where(ExperimentRow.id == experiment_id))
        orphans: list[str] = []
        for start in range(0, len(digests), _IMAGES_AT_A_TIME):
            is_used = exists().where(ExperimentImageRow.sha256 == ImageRow.sha256)
            deleted = (
                delete(ImageRow)
                .where(ImageRow.sha256.in_(digests[start : start + _IMAGES_AT_A_TIME]), ~is_used)
                .returning(ImageRow.sha256)
            )
            orphans += connection.execute(deleted).scalars()
        # Before the commit: an experiment that adds the same bytes waits for it, and then stores them again.
        for sha256 in orphans:
            self._blobs.delete(sha256)
        return DeletedExperiment(id=experiment_id, images=len(orphans))

    def put_design(self, id_or_name: str, design: ParsedDesign) -> DesignTable:
        """Replace the design table of an experiment.

        Raises:
            UnknownExperimentError: If none has this id or name.
        """
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, id_or_name)
            connection.execute(delete(DesignRow).where(DesignRow.experiment_id == experiment_id))
            connection.execute(
                update(ExperimentRow)
                .where(ExperimentRow.id == experiment_id)
                .values(design_columns=list(design.columns))
            )
            rows = [
                {"experiment_id": experiment_id, "number": number, "cells": list(cells)}
                for number, cells in enumerate(design.rows)
            ]
            if rows:
                connection.execute(insert(DesignRow), rows)
            return _design_table(connection, experiment_id)

    def get_design(self, id_or_name: str) -> DesignTable:
        """Return the design table of an experiment. It has no columns if none was stored.

        Raises:
            UnknownExperimentError: If none has this id or name.
        """
        with self._database.read() as connection:
            return _design_table(connection, get_experiment(connection, id_or_name).id)


def _day(date: datetime.date | None) -> str | None:
    return None if date is None else date.isoformat()


def _experiments() -> Select[tuple[str, str, str, str, str, Sequence[str], str | None, int, int]]:
    own_images = ExperimentImageRow.experiment_id == ExperimentRow.id
    images = select(func.count()).select_from(ExperimentImageRow).where(own_images)
    measured = images.where(ExperimentImageRow.measurement_id.is_not(None))
    return select(
        ExperimentRow.id,
        ExperimentRow.name,
        ExperimentRow.description,
        ExperimentRow.created_at,
        ExperimentRow.created_by,
        ExperimentRow.design_columns,
        ExperimentRow.retain_until,
        images.scalar_subquery().label("images"),
        measured.scalar_subquery().label("measured"),
    )


def get_experiment(connection: Connection, id_or_name: str) -> Experiment:
    """Return an experiment by its id, else by its name.

    Raises:
        UnknownExperimentError: If none has this id or name.
    """
    for column in (ExperimentRow.id, ExperimentRow.name):
        row = connection.execute(_experiments().where(column == id_or_name)).one_or_none()
        if row is not None:
            return Experiment.model_validate(row._mapping)
    raise _unknown_experiment(id_or_name)


def _unknown_experiment(id_or_name: str) -> UnknownExperimentError:
    return UnknownExperimentError(f"there is no experiment {id_or_name!r}: create it, or list all of them")


def lock_experiment(connection: Connection, id_or_name: str) -> str:
    """Return the id of an experiment that no other transaction changes or deletes until the end of this one.

    Its images are not counted, so that the addition of an image costs the same in a large experiment.

    Raises:
        UnknownExperimentError: If none has this id or name.
    """
    for column in (ExperimentRow.id, ExperimentRow.name):
        lock = select(ExperimentRow.id).where(column == id_or_name).with_for_update()
        if (found := connection.execute(lock).scalar_one_or_none()) is not None:
            return found
    raise _unknown_experiment(id_or_name)


def read_design(connection: Connection, experiment: Experiment) -> ParsedDesign:
    """Return the design table of an experiment. It has no columns if none was stored."""
    rows = select(DesignRow.cells).where(DesignRow.experiment_id == experiment.id).order_by(DesignRow.number)
    return ParsedDesign(experiment.design_columns, tuple(map(tuple, connection.execute(rows).scalars())))


def _design_table(connection: Connection, experiment_id: str) -> DesignTable:
    design = read_design(connection, get_experiment(connection, experiment_id))
    images = select(ExperimentImageRow.name, ExperimentImageRow.plate).where(
        ExperimentImageRow.experiment_id == experiment_id
    )
    names: Iterable[tuple[str, str]] = ((name, plate) for name, plate in connection.execute(images))
    unmatched_rows, images_without_row = match_rows(design, names)
    return DesignTable(
        columns=design.columns,
        rows=design.rows,
        unmatched_rows=unmatched_rows,
        images_without_row=images_without_row,
    )
