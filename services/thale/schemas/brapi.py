"""Schemas of BrAPI v2.1, the interface of plant breeding databases: the objects and fields that thale has.

Fields have the names of BrAPI. A field without a value is left out of a response. `additionalInfo` contains texts only.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from thale.schemas.fields import FrozenModel

_Item = TypeVar("_Item")


class BrapiModel(FrozenModel):
    """Base class of the objects of BrAPI. Fields without a value are optional."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


AdditionalInfo = Annotated[
    dict[str, str], Field(description="Facts for which BrAPI has no field, as texts. Only known ones are present.")
]


class BrapiStatus(BrapiModel):
    """A message about a response."""

    message: str
    """The message."""
    messageType: Literal["DEBUG", "ERROR", "WARNING", "INFO"]
    """Severity."""


class BrapiPagination(BrapiModel):
    """Position of a page in the list."""

    currentPage: int
    """Number of the page, from 0."""
    pageSize: int
    """Maximum number of items on a page."""
    totalCount: int
    """Number of items on all pages."""
    totalPages: int
    """Number of pages."""


class BrapiMetadata(BrapiModel):
    """Page and messages of a response."""

    datafiles: tuple[str, ...] = ()
    """Always empty."""
    status: tuple[BrapiStatus, ...] = ()
    """Messages."""
    pagination: BrapiPagination
    """The page. A single object is one page with one item."""


class BrapiList(BrapiModel, Generic[_Item]):
    """Items of a page."""

    data: tuple[_Item, ...]
    """The items."""


class BrapiListResponse(BrapiModel, Generic[_Item]):
    """A page of a list."""

    metadata: BrapiMetadata
    """Page and messages."""
    result: BrapiList[_Item]
    """The items."""


class BrapiSingleResponse(BrapiModel, Generic[_Item]):
    """One object."""

    metadata: BrapiMetadata
    """Page and messages."""
    result: _Item
    """The object."""


class BrapiExternalReference(BrapiModel):
    """The identifier of an object in another system."""

    referenceId: str
    """Identifier in the other system."""
    referenceSource: str
    """The other system."""


class BrapiOntologyReference(BrapiModel):
    """A term of an ontology."""

    ontologyDbId: str
    """Accession of the term, such as TO:0000227."""
    ontologyName: str
    """Name of the ontology."""
    version: str | None = None
    """Release of the ontology."""


class BrapiService(BrapiModel):
    """A route of this server."""

    service: str
    """Path below /brapi/v2."""
    contentTypes: tuple[Literal["application/json"], ...] = ("application/json",)
    """Media types."""
    methods: tuple[Literal["GET"], ...] = ("GET",)
    """HTTP methods."""
    versions: tuple[Literal["2.1"], ...] = ("2.1",)
    """Versions of BrAPI."""


class BrapiServerInfo(BrapiModel):
    """The server and its routes."""

    serverName: str
    """Name of the server."""
    serverDescription: str
    """Description of the server."""
    documentationURL: str
    """Address of the documentation."""
    calls: tuple[BrapiService, ...]
    """The routes."""


class BrapiObservationLevel(BrapiModel):
    """A level of observation units."""

    levelName: Literal["study", "rep", "plate", "plant"]
    """Name of the level."""
    levelOrder: int
    """Position in the hierarchy. A lower number contains the higher ones."""


class BrapiUnitLevel(BrapiObservationLevel):
    """The level of an observation unit, or a level that contains it."""

    levelCode: str | None = None
    """Name or number at this level."""
    observationUnitDbId: str | None = None
    """The observation unit of this level."""


class BrapiStudy(BrapiModel):
    """A study: an experiment of thale."""

    studyDbId: str
    """Identifier of the experiment."""
    studyName: str
    """Name of the experiment."""
    studyDescription: str | None = None
    """Description of the experiment."""
    studyType: str
    """Type of the study."""
    active: bool = True
    """Always true: thale does not record the end of an experiment."""
    observationLevels: tuple[BrapiObservationLevel, ...]
    """Levels of the observation units."""
    additionalInfo: AdditionalInfo
    """Numbers of images and measured images, creation, and columns of the design table."""


class BrapiTreatment(BrapiModel):
    """The level of a factor that was applied to an observation unit."""

    factor: str
    """Column of the design table."""
    modality: str
    """Cell of the design table."""


class BrapiUnitPosition(BrapiModel):
    """Level of an observation unit, and the levels that contain it."""

    observationLevel: BrapiUnitLevel
    """Level of the unit."""
    observationLevelRelationships: tuple[BrapiUnitLevel, ...]
    """Levels that contain the unit, from the study on."""


class BrapiObservationUnit(BrapiModel):
    """An observation unit: a plate or a plant."""

    observationUnitDbId: str
    """Identifier: experiment, first image of the plate, plate in the image, and plant."""
    observationUnitName: str
    """Name of the plate, and number of the plant."""
    studyDbId: str
    """The experiment."""
    studyName: str
    """Name of the experiment."""
    germplasmName: str | None = None
    """Genotype of the design table."""
    observationUnitPosition: BrapiUnitPosition
    """Level of the unit."""
    treatments: tuple[BrapiTreatment, ...]
    """Factors of the design table, apart from the genotype and the replicate."""


class BrapiVariableTrait(BrapiModel):
    """The observed property."""

    traitDbId: str
    """Name of the trait in thale."""
    traitName: str
    """Label of the trait."""
    traitDescription: str | None = None
    """Definition of the trait."""
    ontologyReference: BrapiOntologyReference | None = None
    """Nearest term of the Plant Trait Ontology. `additionalInfo` has its relation to the trait."""
    additionalInfo: AdditionalInfo = {}
    """Level, and relation to the ontology term."""


class BrapiVariableMethod(BrapiModel):
    """The method of the observation."""

    methodDbId: str
    """Identifier of the method."""
    methodName: str
    """Name of the method."""
    methodClass: Literal["Computation"] = "Computation"
    """Class of the method."""
    description: str | None = None
    """Description of the method."""
    formula: str | None = None
    """Formula of the value."""
    bibliographicalReference: str | None = None
    """Publication of the method."""


class BrapiVariableScale(BrapiModel):
    """The unit of the values."""

    scaleDbId: str
    """Unit."""
    scaleName: str
    """Name of the unit."""
    units: str
    """Unit. 1 is a number without a unit."""
    dataType: Literal["Numerical"] = "Numerical"
    """Type of the values."""


class BrapiVariable(BrapiModel):
    """An observation variable: a trait with its method and unit."""

    observationVariableDbId: str
    """Name of the column of the trait in tables."""
    observationVariableName: str
    """Name of the column of the trait in tables."""
    trait: BrapiVariableTrait
    """The trait."""
    method: BrapiVariableMethod
    """The method."""
    scale: BrapiVariableScale
    """The unit."""


class BrapiObservation(BrapiModel):
    """An observation: a trait of a plate or plant in one photograph, from its current measurement."""

    observationDbId: str
    """Identifier: experiment, measurement, subject, and number of the trait."""
    observationUnitDbId: str
    """The plate or plant."""
    observationUnitName: str
    """Name of the plate or plant."""
    observationVariableDbId: str
    """The trait and unit."""
    observationVariableName: str
    """The trait and unit."""
    studyDbId: str
    """The experiment."""
    germplasmName: str | None = None
    """Genotype of the design table."""
    observationTimeStamp: str | None = None
    """Time of the photograph, from its file name. Absent if the name has none."""
    value: str | None = None
    """The value. Absent if it is unknown."""
    collector: str
    """The software."""
    additionalInfo: AdditionalInfo
    """Quality, 90 % interval, flags, measurement, models, image, and source of the time."""


class BrapiImage(BrapiModel):
    """A photograph of an experiment."""

    imageDbId: str
    """Identifier: experiment, and number of the image."""
    imageName: str
    """File name."""
    imageFileName: str
    """File name."""
    imageFileSize: int
    """Size in bytes."""
    imageWidth: int
    """Width in pixels, after the EXIF orientation."""
    imageHeight: int
    """Height in pixels, after the EXIF orientation."""
    mimeType: str
    """Media type."""
    imageURL: str
    """Address of the bytes. It needs the same credential."""
    imageTimeStamp: str | None = None
    """Time of the photograph, from its file name. Absent if the name has none."""
    observationUnitDbId: str
    """The plate."""
    additionalInfo: AdditionalInfo
    """Experiment, digest, measurement, and source of the time."""
