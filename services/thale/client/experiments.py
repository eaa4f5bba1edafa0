"""Experiments of a server, as `Client.experiments`."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack
from urllib.parse import quote

from thale.client.responses import parse_response
from thale.schemas.brapi import BrapiListResponse, BrapiModel
from thale.schemas.experiment import (
    AddedImage,
    DeletedExperiment,
    DesignTable,
    Experiment,
    ExperimentImage,
    ExperimentImagePage,
    ExperimentPage,
    ExperimentRequest,
    ExperimentUpdate,
    Job,
    JobRequest,
    Measurement,
    Reproduction,
)

if TYPE_CHECKING:
    from thale.client import Client, Image, Parameters

TableFormat = Literal["csv", "parquet", "xlsx"]
_Item = TypeVar("_Item", bound=BrapiModel)
_JSON = "application/json"
_TABLE_TYPES: dict[TableFormat, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_PAGE = 500


class ExperimentsClient:
    """Experiments, measurements and jobs of a server. Each method raises as `Client.phenotype` does."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def create(self, name: str, description: str = "", retain_until: datetime.date | None = None) -> Experiment:
        """Create an experiment with a unique name. The server deletes it after the day `retain_until` (UTC)."""
        request = ExperimentRequest(name=name, description=description, retain_until=retain_until)
        # Without a day, the body is that of servers before retention.
        body = request.model_dump_json(exclude_none=True).encode()
        return parse_response(Experiment, self._send("POST", "/v1/experiments", body))

    def retain(self, experiment: str, until: datetime.date | None) -> Experiment:
        """Set the last day (UTC) on which an experiment is kept. None: until it is deleted."""
        body = ExperimentUpdate(retain_until=until).model_dump_json(exclude_unset=True).encode()
        return parse_response(Experiment, self._send("PATCH", _path(experiment), body))

    def get(self, experiment: str) -> Experiment:
        """Return an experiment by its id or name."""
        return parse_response(Experiment, self._send("GET", _path(experiment)))

    def list(self) -> Iterator[Experiment]:
        """Yield all experiments, the newest first."""
        query: dict[str, str] | None = {"limit": str(_PAGE)}
        while query is not None:
            page = parse_response(ExperimentPage, self._send("GET", "/v1/experiments", query=query))
            yield from page.items
            query = None if page.next_cursor is None else {"limit": str(_PAGE), "cursor": page.next_cursor}

    def delete(self, experiment: str) -> DeletedExperiment:
        """Delete an experiment, with the images and measurements that no other one contains."""
        return parse_response(DeletedExperiment, self._send("DELETE", _path(experiment)))

    def put_design(self, experiment: str, table: str | Path) -> DesignTable:
        """Replace the design table by a CSV file."""
        data = Path(table).read_bytes()
        return parse_response(DesignTable, self._send("PUT", f"{_path(experiment)}/design", data, content="text/csv"))

    def add(
        self,
        experiment: str,
        image: "Image",
        /,
        *,
        measure: bool = True,
        plate: str | None = None,
        **parameters: Unpack["Parameters"],
    ) -> AddedImage:
        """Add an image to an experiment and measure it. The same bytes are stored and measured once."""
        options = {"measure": str(measure).lower()} | ({} if plate is None else {"plate": plate})
        return parse_response(
            AddedImage, self._client._post(f"{_path(experiment)}/images", image, parameters, _JSON, **options)
        )

    def images(self, experiment: str) -> Iterator[ExperimentImage]:
        """Yield the images of an experiment in the order of their addition."""
        query: dict[str, str] | None = {"limit": str(_PAGE)}
        while query is not None:
            page = parse_response(ExperimentImagePage, self._send("GET", f"{_path(experiment)}/images", query=query))
            yield from page.items
            query = None if page.next_cursor is None else {"limit": str(_PAGE), "cursor": page.next_cursor}

    def table(
        self, experiment: str, form: Literal["wide", "long"] = "wide", table_format: TableFormat = "csv"
    ) -> bytes:
        """Return the traits of all images, joined with the design table."""
        return self._send("GET", f"{_path(experiment)}/table", query={"form": form}, accept=_TABLE_TYPES[table_format])

    def brapi(self, item_type: type[_Item], path: str, **query: str) -> Iterator[_Item]:
        """Yield the objects of a list of BrAPI, such as `observations`. `query` has the filters."""
        page, pages = 0, 1
        while page < pages:
            numbered = {**query, "page": str(page)}
            data = self._send("GET", f"/brapi/v2/{path}", query=numbered)
            found = parse_response(BrapiListResponse[item_type], data)  # type: ignore[valid-type]
            yield from found.result.data
            page, pages = page + 1, found.metadata.pagination.totalPages

    def measurement(self, measurement_id: str) -> Measurement:
        """Return a measurement by its permanent id."""
        return parse_response(Measurement, self._send("GET", f"/v1/measurements/{quote(measurement_id, safe='')}"))

    def reproduce(self, measurement_id: str) -> Reproduction:
        """Measure the image of a measurement again with the same versions and parameters, and compare the values."""
        path = f"/v1/measurements/{quote(measurement_id, safe='')}/reproduce"
        return parse_response(Reproduction, self._send("POST", path))

    def submit_job(self, request: JobRequest) -> Job:
        """Submit a job that measures images of an experiment in the background."""
        return parse_response(Job, self._send("POST", "/v1/jobs", request.model_dump_json().encode()))

    def job(self, job_id: str) -> Job:
        """Return a job with its progress."""
        return parse_response(Job, self._send("GET", f"/v1/jobs/{quote(job_id, safe='')}"))

    def cancel_job(self, job_id: str) -> Job:
        """Cancel the images of a job that wait."""
        return parse_response(Job, self._send("POST", f"/v1/jobs/{quote(job_id, safe='')}/cancel"))

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: dict[str, str] | None = None,
        accept: str = _JSON,
        content: str = _JSON,
    ) -> bytes:
        headers = {} if body is None else {"Content-Type": content}
        data: bytes = self._client._request(method, path, accept, query=query, body=body, headers=headers).data
        return data


def _path(experiment: str) -> str:
    return f"/v1/experiments/{quote(experiment, safe='')}"
