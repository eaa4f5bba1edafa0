"""Facts that photographs do not show, from a TOML file: people, place, dates and growth conditions."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from thale.errors import ParameterError, describe_validation_error

MAX_FILE_BYTES = 2**20
_Text = Annotated[str, BeforeValidator(lambda value: value.isoformat() if hasattr(value, "isoformat") else value)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InvestigationFacts(_Section):
    """Facts of the investigation. An empty text is unknown."""

    id: _Text = ""
    title: _Text = ""
    description: _Text = ""
    submission_date: _Text = ""
    public_release_date: _Text = ""
    license: _Text = ""
    publication: _Text = ""


class StudyFacts(_Section):
    """Facts of the study. An empty text is unknown."""

    start_date: _Text = ""
    end_date: _Text = ""
    institution: _Text = ""
    country: _Text = ""
    site: _Text = ""
    design: _Text = ""
    observation_units: _Text = ""
    growth_facility: _Text = ""
    cultural_practices: _Text = ""


class PersonFacts(_Section):
    """A person."""

    name: _Text = ""
    email: _Text = ""
    id: _Text = ""
    role: _Text = ""
    affiliation: _Text = ""


class MaterialFacts(_Section):
    """Facts of all biological material. Its identifiers are the genotypes of the design table."""

    organism: _Text = ""
    genus: _Text = ""
    species: _Text = ""


class EventFacts(_Section):
    """An event, such as sowing."""

    type: _Text = ""
    accession: _Text = ""
    description: _Text = ""
    date: _Text = ""


class PublicationFacts(_Section):
    """All facts of the file."""

    investigation: InvestigationFacts = InvestigationFacts()
    study: StudyFacts = StudyFacts()
    person: tuple[PersonFacts, ...] = ()
    biological_material: MaterialFacts = MaterialFacts()
    environment: dict[str, _Text] = Field({}, max_length=200)
    factors: dict[str, _Text] = Field({}, max_length=200)
    event: tuple[EventFacts, ...] = ()


def read_facts(path: Path) -> PublicationFacts:
    """Return the facts of a TOML file.

    Raises:
        ParameterError: If the file is no valid TOML, or if it has an unknown field.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ParameterError(f"{path} is larger than {MAX_FILE_BYTES} bytes: give the file with the facts of the study")
    try:
        return PublicationFacts.model_validate(tomllib.loads(data.decode("utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path} is not valid TOML in UTF-8: {str(error)[:200]}") from error
    except ValidationError as error:
        raise ParameterError(f"{path}: {describe_validation_error(error)}") from error
