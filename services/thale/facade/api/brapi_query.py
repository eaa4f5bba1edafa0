"""Query parameters of BrAPI: pages and filters. An unknown or unsupported parameter is rejected, and never ignored."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PAGE_SIZE = 1000
"""Maximum and default size of a page. BrAPI permits a server to return smaller pages than a client requests."""
Level = Literal["plate", "plant"]


class PageQuery(BaseModel):
    """Query parameters of every list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: int = Field(0, ge=0, lt=10**6, description="Number of the page, from 0.")
    pageSize: int = Field(
        MAX_PAGE_SIZE,
        ge=1,
        le=10**6,
        description=f"Maximum number of items on a page. More than {MAX_PAGE_SIZE} is read as {MAX_PAGE_SIZE}.",
    )

    @property
    def size(self) -> int:
        """Maximum number of items on the returned page."""
        return min(self.pageSize, MAX_PAGE_SIZE)


class ServerInfoQuery(BaseModel):
    """Query parameters of the description of the server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contentType: Literal["application/json"] | None = Field(None, description="Media type of the listed routes.")
    dataType: Literal["application/json"] | None = Field(None, description="Earlier name of `contentType`.")


class StudyQuery(PageQuery):
    """Filters of studies."""

    studyDbId: str | None = Field(None, max_length=200, description="Identifier of the experiment.")
    studyName: str | None = Field(None, max_length=200, description="Name of the experiment.")


class UnitQuery(PageQuery):
    """Filters of observation units."""

    studyDbId: str | None = Field(None, max_length=200, description="Identifier of the experiment.")
    observationUnitDbId: str | None = Field(None, max_length=100, description="Identifier of the observation unit.")
    observationUnitLevelName: Level | None = Field(None, description="Level of the observation units.")


class VariableQuery(PageQuery):
    """Filters of observation variables."""

    studyDbId: str | None = Field(None, max_length=200, description="Experiment that observed the variables.")
    observationVariableDbId: str | None = Field(None, max_length=200, description="Identifier of the variable.")


class ObservationQuery(UnitQuery):
    """Filters of observations."""

    observationVariableDbId: str | None = Field(None, max_length=200, description="Identifier of the variable.")
    observationDbId: str | None = Field(None, max_length=150, description="Identifier of the observation.")


class BrapiImageQuery(PageQuery):
    """Filters of images."""

    imageDbId: str | None = Field(None, max_length=100, description="Identifier of the image.")
    imageName: str | None = Field(None, max_length=255, description="File name of the image.")
    observationUnitDbId: str | None = Field(None, max_length=100, description="Identifier of the photographed plate.")
