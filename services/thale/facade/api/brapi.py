"""Routes of BrAPI v2.1: experiments for the clients of plant breeding databases (ADR 0143). They only read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from thale.errors import UnknownBrapiObjectError
from thale.facade.api.authentication import READ
from thale.facade.api.brapi_query import (
    BrapiImageQuery,
    ObservationQuery,
    PageQuery,
    ServerInfoQuery,
    StudyQuery,
    UnitQuery,
    VariableQuery,
)
from thale.facade.api.experiment_dependencies import ServiceDependency
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.schemas.brapi import (
    BrapiImage,
    BrapiList,
    BrapiListResponse,
    BrapiMetadata,
    BrapiObservation,
    BrapiObservationLevel,
    BrapiObservationUnit,
    BrapiPagination,
    BrapiServerInfo,
    BrapiService,
    BrapiSingleResponse,
    BrapiStudy,
    BrapiVariable,
)

if TYPE_CHECKING:
    from thale.experiments.brapi.pages import BrapiPage, PageRequest
    from thale.experiments.store import ExperimentStore

router = APIRouter(route_class=LimitedRoute)
PREFIX = "/brapi/v2"
CROP = "Arabidopsis"
SERVICES = (
    *("serverinfo", "commoncropnames", "observationlevels", "studies", "studies/{studyDbId}"),
    *("observationunits", "observationunits/{observationUnitDbId}"),
    *("variables", "variables/{observationVariableDbId}"),
    *("observations", "observations/{observationDbId}"),
    *("images", "images/{imageDbId}"),
)
"""Routes of BrAPI. GET imagecontent is not one: BrAPI has only PUT there, and `imageURL` of an image leads to it."""
_DOCUMENTATION = "https://brapi.org/specification"
_Item = TypeVar("_Item")
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def _route(path: str, operation_id: str, summary: str, **options: Any) -> Callable[[_Endpoint], _Endpoint]:
    return router.get(
        f"{PREFIX}/{path}",
        dependencies=[READ],
        operation_id=operation_id,
        tags=["BrAPI v2.1"],
        summary=summary,
        responses={**PROBLEM_RESPONSES, **options.pop("responses", {})},
        response_model_exclude_none=True,
        **options,
    )


async def _list(
    service: ServiceDependency,
    query: PageQuery,
    read: "Callable[[ExperimentStore, PageRequest], BrapiPage[_Item]]",
) -> BrapiListResponse[_Item]:
    def call(store: "ExperimentStore") -> "BrapiPage[_Item]":
        from thale.experiments.brapi.pages import PageRequest

        return read(store, PageRequest(query.page, query.size))

    page = await service.store.call(call)
    return _list_response(page.items, page.total, query)


def _list_response(items: tuple[_Item, ...], total: int, query: PageQuery) -> BrapiListResponse[_Item]:
    pagination = BrapiPagination(
        currentPage=query.page, pageSize=query.size, totalCount=total, totalPages=-(-total // query.size)
    )
    return BrapiListResponse(metadata=BrapiMetadata(pagination=pagination), result=BrapiList(data=items))


def _constant_list(items: tuple[_Item, ...], query: PageQuery) -> BrapiListResponse[_Item]:
    start = query.page * query.size
    return _list_response(items[start : start + query.size], len(items), query)


async def _get(
    service: ServiceDependency,
    kind: str,
    identifier: str,
    read: "Callable[[ExperimentStore, PageRequest], BrapiPage[_Item]]",
) -> BrapiSingleResponse[_Item]:
    found = await _list(service, PageQuery(page=0, pageSize=1), read)
    if not found.result.data:
        raise _unknown(kind, identifier)
    return _single_response(found.result.data[0])


def _single_response(item: _Item) -> BrapiSingleResponse[_Item]:
    pagination = BrapiPagination(currentPage=0, pageSize=1, totalCount=1, totalPages=1)
    return BrapiSingleResponse(metadata=BrapiMetadata(pagination=pagination), result=item)


def _unknown(kind: str, identifier: str) -> UnknownBrapiObjectError:
    return UnknownBrapiObjectError(f"there is no {kind} {identifier!r}: it was deleted, or it is of another server")


def images_url(request: Request) -> str:
    """Return the address of the images, with the scheme of the gateway: a token must not be sent in clear."""
    scheme = request.headers.get("x-forwarded-proto")
    url = request.base_url.replace(scheme=scheme) if scheme in ("http", "https") else request.base_url
    return f"{str(url).rstrip('/')}{PREFIX}/images"


@_route("serverinfo", "getServerInfo", "Describe the server and its routes")
async def server_info(query: Annotated[ServerInfoQuery, Query()]) -> BrapiSingleResponse[BrapiServerInfo]:
    """Return the routes of BrAPI that this server has. All of them only read."""
    return _single_response(
        BrapiServerInfo(
            serverName="thale",
            serverDescription="Traits of plants on plates, measured on photographs.",
            documentationURL=_DOCUMENTATION,
            calls=tuple(BrapiService(service=service) for service in SERVICES),
        )
    )


@_route("commoncropnames", "listCommonCropNames", "List the crops")
async def common_crop_names(query: Annotated[PageQuery, Query()]) -> BrapiListResponse[str]:
    """Return the plant for which the models of thale are trained. Studies do not record a crop."""
    return _constant_list((CROP,), query)


@_route("observationlevels", "listObservationLevels", "List the levels of observation units")
async def observation_levels(query: Annotated[PageQuery, Query()]) -> BrapiListResponse[BrapiObservationLevel]:
    """Return the levels: a plate, and a plant on it."""
    from thale.experiments.brapi.units import UNIT_LEVELS

    return _constant_list(UNIT_LEVELS, query)


@_route("studies", "listStudies", "List the studies")
async def list_studies(
    query: Annotated[StudyQuery, Query()], service: ServiceDependency
) -> BrapiListResponse[BrapiStudy]:
    """Return a page of experiments, the oldest first."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiStudy]":
        from thale.experiments.brapi.studies import list_studies

        return list_studies(store.database, page, study=query.studyDbId, name=query.studyName)

    return await _list(service, query, read)


@_route("studies/{study}", "getStudy", "Describe one study")
async def get_study(
    study: Annotated[str, Path(max_length=200, description="Identifier of the experiment.")],
    service: ServiceDependency,
) -> BrapiSingleResponse[BrapiStudy]:
    """Return an experiment with the numbers of its images and the columns of its design table."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiStudy]":
        from thale.experiments.brapi.studies import list_studies

        return list_studies(store.database, page, study=study, name=None)

    return await _get(service, "study", study, read)


@_route("observationunits", "listObservationUnits", "List the observation units")
async def list_units(
    query: Annotated[UnitQuery, Query()], service: ServiceDependency
) -> BrapiListResponse[BrapiObservationUnit]:
    """Return a page of plates and their plants, with genotype and treatments of the design table."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiObservationUnit]":
        from thale.experiments.brapi.units import list_units

        unit, level = query.observationUnitDbId, query.observationUnitLevelName
        return list_units(store.database, page, study=query.studyDbId, unit=unit, level=level)

    return await _list(service, query, read)


@_route("observationunits/{unit}", "getObservationUnit", "Describe one observation unit")
async def get_unit(
    unit: Annotated[str, Path(max_length=100, description="Identifier of the observation unit.")],
    service: ServiceDependency,
) -> BrapiSingleResponse[BrapiObservationUnit]:
    """Return a plate or a plant."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiObservationUnit]":
        from thale.experiments.brapi.units import list_units

        return list_units(store.database, page, study=None, unit=unit, level=None)

    return await _get(service, "observation unit", unit, read)


@_route("variables", "listVariables", "List the observation variables")
async def list_variables(
    query: Annotated[VariableQuery, Query()], service: ServiceDependency
) -> BrapiListResponse[BrapiVariable]:
    """Return a page of the traits that measurements have, with unit, method and ontology term."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiVariable]":
        from thale.experiments.brapi.variables import list_variables

        return list_variables(store.database, page, study=query.studyDbId, variable=query.observationVariableDbId)

    return await _list(service, query, read)


@_route("variables/{variable}", "getVariable", "Describe one observation variable")
async def get_variable(
    variable: Annotated[str, Path(max_length=200, description="Identifier of the variable.")],
    service: ServiceDependency,
) -> BrapiSingleResponse[BrapiVariable]:
    """Return a trait with its unit, method and ontology term."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiVariable]":
        from thale.experiments.brapi.variables import list_variables

        return list_variables(store.database, page, study=None, variable=variable)

    return await _get(service, "observation variable", variable, read)


@_route("observations", "listObservations", "List the observations")
async def list_observations(
    query: Annotated[ObservationQuery, Query()], service: ServiceDependency
) -> BrapiListResponse[BrapiObservation]:
    """Return a page of values of the current measurements. An unknown value is absent, and its quality states why."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiObservation]":
        from thale.experiments.brapi.observations import list_observations

        return list_observations(
            store.database,
            page,
            study=query.studyDbId,
            unit=query.observationUnitDbId,
            variable=query.observationVariableDbId,
            level=query.observationUnitLevelName,
            observation=query.observationDbId,
        )

    return await _list(service, query, read)


@_route("observations/{observation}", "getObservation", "Return one observation")
async def get_observation(
    observation: Annotated[str, Path(max_length=150, description="Identifier of the observation.")],
    service: ServiceDependency,
) -> BrapiSingleResponse[BrapiObservation]:
    """Return a value with its quality, interval and measurement."""

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiObservation]":
        from thale.experiments.brapi.observations import list_observations

        return list_observations(
            store.database, page, study=None, unit=None, variable=None, level=None, observation=observation
        )

    return await _get(service, "observation", observation, read)


ImagePath = Annotated[str, Path(max_length=100, description="Identifier of the image.")]


@_route("images", "listBrapiImages", "List the photographs")
async def list_images(
    request: Request, query: Annotated[BrapiImageQuery, Query()], service: ServiceDependency
) -> BrapiListResponse[BrapiImage]:
    """Return a page of photographs in the order of their addition."""
    url = images_url(request)

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiImage]":
        from thale.experiments.brapi.images import list_images

        name, unit = query.imageName, query.observationUnitDbId
        return list_images(store.database, page, url, image=query.imageDbId, name=name, unit=unit)

    return await _list(service, query, read)


@_route("images/{image}", "getBrapiImage", "Describe one photograph")
async def get_image(request: Request, image: ImagePath, service: ServiceDependency) -> BrapiSingleResponse[BrapiImage]:
    """Return a photograph with the address of its bytes."""
    url = images_url(request)

    def read(store: "ExperimentStore", page: "PageRequest") -> "BrapiPage[BrapiImage]":
        from thale.experiments.brapi.images import list_images

        return list_images(store.database, page, url, image=image, name=None, unit=None)

    return await _get(service, "image", image, read)


@_route(
    "images/{image}/imagecontent",
    "getImageContent",
    "Return the bytes of a photograph",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_image_content(image: ImagePath, service: ServiceDependency) -> Response:
    """Return the stored file as an attachment. The field `mimeType` of the image has its media type."""

    def read(store: "ExperimentStore") -> bytes:
        from thale.experiments.brapi.images import find_image

        found = find_image(store.database, image)
        if found is None:
            raise _unknown("image", image)
        return store.images.read(found)

    data = await service.store.call(read)
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type="application/octet-stream", headers=headers)
