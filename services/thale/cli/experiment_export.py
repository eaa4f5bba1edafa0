"""`thale experiment export`: an archive for publication, as ISA-Tab or as tables of the MIAPPE sections."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from thale.errors import ParameterError

if TYPE_CHECKING:
    from thale.client import Client
    from thale.exports.miappe.checklist import Publication
    from thale.exports.miappe.metadata import PublicationFacts

_MEMORY_BYTES = 64 * 2**20


def export_experiment(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name or id of the experiment.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The archive, with the suffix .zip.")],
    archive_format: Annotated[
        Literal["isa-tab", "miappe"], typer.Option("--format", help="ISA-Tab, or a table for each section of MIAPPE.")
    ] = "isa-tab",
    metadata: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="TOML file with people, place, dates and growth conditions."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Write the archive although mandatory facts are missing.")
    ] = False,
    server: Annotated[str | None, typer.Option(envvar="THALE_SERVER", help="Address of a running server.")] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder.")
    ] = None,
) -> None:
    """Write an archive for publication by MIAPPE 1.2. Missing mandatory facts are listed, and never invented."""
    from thale.cli.server_connection import connect_running
    from thale.exports.miappe.archive import write_isa_tab, write_miappe
    from thale.exports.miappe.checklist import checklist, find_missing
    from thale.exports.miappe.metadata import PublicationFacts, read_facts
    from thale.host.files import write_atomically
    from thale.schemas.brapi import BrapiObservation

    if out.suffix != ".zip":
        raise ParameterError(f"{out} is no archive: name it .zip")
    facts = PublicationFacts() if metadata is None else read_facts(metadata)
    with connect_running(server, home) as client:
        publication = _read_publication(client, name, facts)
        sections = checklist(publication)
        missing = find_missing(publication, sections)
        stderr = Console(stderr=True, soft_wrap=True, highlight=False)
        for fact in missing:
            stderr.print(f"missing: {fact}", markup=False)
        if missing and not allow_missing:
            raise ParameterError(
                f"{len(missing)} mandatory facts of MIAPPE 1.2 are missing: add them, or pass --allow-missing"
            )
        observations = client.experiments.brapi(BrapiObservation, "observations", studyDbId=publication.study.studyDbId)
        with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as file:
            if archive_format == "isa-tab":
                write_isa_tab(file, publication, observations)
            else:
                write_miappe(file, sections, observations)
            file.seek(0)
            write_atomically(out, file.read())
    stderr.print(
        f"{out}: {len(publication.units)} observation units, {len(publication.variables)} variables", markup=False
    )


def _read_publication(client: "Client", name: str, facts: "PublicationFacts") -> "Publication":
    from thale.exports.miappe.checklist import Publication
    from thale.schemas.brapi import BrapiObservationUnit, BrapiStudy, BrapiVariable

    study = client.experiments.get(name).id
    [found] = client.experiments.brapi(BrapiStudy, "studies", studyDbId=study)
    return Publication(
        study=found,
        units=tuple(client.experiments.brapi(BrapiObservationUnit, "observationunits", studyDbId=study)),
        variables=tuple(client.experiments.brapi(BrapiVariable, "variables", studyDbId=study)),
        facts=facts,
        server_url=client.url,
    )
