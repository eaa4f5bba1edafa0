"""`thale series`: the same plants through time, from photographs or from results of an earlier run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thale.batch.result_index import ResultIndex
from thale.batch.series import GROWTH_TABLE, SERIES_JSON, SERIES_TABLE, find_result_names, write_series
from thale.batch.sources import find_sources
from thale.cli.analyze import EXIT_INTERRUPTED, EXIT_OK, AnalyzeOptions, analyze_images
from thale.errors import ParameterError
from thale.series.plan import (
    PhotographName,
    PlannedPhotograph,
    SeriesRules,
    TimesFrom,
    parse_time_of_day,
    parse_zone,
    plan_series,
)
from thale.series.plates import compile_pattern
from thale.series.schemas import GrowthRate, PlateSeries, SeriesResult
from thale.series.times_table import TimesTable
from thale.series.timestamps import TimeRules, timestamp_from_exif

_SHOWN_TRAIT = "primary_root_length"
_MAX_SHOWN_PLATES, _MAX_SHOWN_FLAGS = 10, 12
_QUALITY_MARKS = {"ok": "", "uncertain": "~", "unknown": ""}
_SHOWN_CODES = frozenset(
    {
        "models_changed",
        "no_plant_matched",
        "not_followed",
        "positions_disagree",
        "scale_changed",
        "scale_inconsistent",
        "scale_unconfirmed",
        "time_of_day_unknown",
    }
)
"""Flags of photographs that concern the series. Those of one photograph are in its own result."""


@dataclass(frozen=True)
class SeriesOptions:
    """Options of `thale series`. `results` is a folder of results that replaces the measurement."""

    analyze: AnalyzeOptions
    results: Path | None
    times_table: Path | None
    times_from: TimesFrom
    time_zone: str | None
    time_of_day: str | None
    plate_pattern: str | None


def follow_series(options: SeriesOptions, console: Console, stderr_console: Console) -> int:
    """Measure the photographs if needed, follow the plants, write the tables, and return the exit status.

    Times and plates are checked before the first measurement.

    Raises:
        ParameterError: If there are no photographs, if a time or a plate cannot be found, or if an option is invalid.
        LocalPlatformError, ServerError: If no server can be started or reached, or it fails.
    """
    rules = SeriesRules(
        TimeRules(parse_zone(options.time_zone), parse_time_of_day(options.time_of_day)),
        options.times_from,
        None if options.plate_pattern is None else compile_pattern(options.plate_pattern),
    )
    table = None if options.times_table is None else TimesTable.read(options.times_table)
    out = options.analyze.out
    status = EXIT_OK
    if options.results is None:
        sources = find_sources(options.analyze.paths, options.analyze.recursive).images
        names = [source.label.as_posix() for source in sources]
        paths: Sequence[Path | None] = [source.path for source in sources]
    else:
        names = find_result_names(options.results)
        paths = [None] * len(names)
    plates = _plan(names, paths, rules, table)
    if options.results is None:
        status = analyze_images(options.analyze, console, stderr_console)
        if status == EXIT_INTERRUPTED:
            return status
        with ResultIndex.open(out) as index:
            found = {number: index.finished_name(source) for number, source in enumerate(sources)}
        results, result_names = out, {number: name for number, name in found.items() if name is not None}
    else:
        results = options.results if options.results.is_dir() else options.results.parent
        result_names = dict(enumerate(names))
    series = write_series(results, out, plates, result_names)
    _print_series(series, out, console)
    return status


def _plan(
    names: Sequence[str], paths: Sequence[Path | None], rules: SeriesRules, table: TimesTable | None
) -> Mapping[str, Sequence[PlannedPhotograph]]:
    if not names:
        raise ParameterError("there are no images: pass --recursive to include subfolders")
    if table is not None:
        table.check_complete(list(names))
    photographs = []
    for name, path in zip(names, paths, strict=True):
        given_time, given_plate = (None, None) if table is None else table.find(name)
        needs_exif = path is not None and given_time is None and rules.times_from != "name"
        exif = timestamp_from_exif(path) if path is not None and needs_exif else None
        photographs.append(PhotographName(name, given_time, given_plate, exif))
    return plan_series(photographs, rules)


def _print_series(series: SeriesResult, out: Path, console: Console) -> None:
    """Print the growth of the primary roots of each plate, and its flags."""
    for plate in series.plates[:_MAX_SHOWN_PLATES]:
        count = len(plate.photographs)
        days = plate.photographs[-1].days
        console.print(f"\n[bold]{escape(plate.plate)}[/]: {count} photographs in {days:.2f} days", highlight=False)
        console.print(_growth_table(plate))
        for line in _remarks(plate):
            console.print(f"[yellow]![/] {escape(line)}", highlight=False, soft_wrap=True)
    hidden = len(series.plates) - _MAX_SHOWN_PLATES
    if hidden > 0:
        console.print(f"\n{hidden} more plates are in the tables", highlight=False)
    files = ", ".join((SERIES_TABLE, GROWTH_TABLE, SERIES_JSON))
    console.print(f"\nSeries in [bold]{escape(str(out))}[/]: {files}", highlight=False, soft_wrap=True)


def _growth_table(plate: PlateSeries) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("plant", "photographs", "primary root, mm/day", "90 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for track in plate.tracks:
        rate = next((r for r in track.growth if (r.trait, r.scope) == (_SHOWN_TRAIT, "series")), None)
        table.add_row(str(track.id), str(len(track.observations)), *_format_rate(rate))
    return table


def _format_rate(rate: GrowthRate | None) -> tuple[str, str]:
    if rate is None or math.isnan(rate.rate):
        return "-", "-"
    interval = "-" if rate.interval is None else f"{rate.interval[0]:.2f} to {rate.interval[1]:.2f}"
    return f"{_QUALITY_MARKS[rate.quality]}{rate.rate:.2f}", interval


def _remarks(plate: PlateSeries) -> list[str]:
    """Return each flag of the plate, of its photographs and of its plants once, with a legend for uncertain rates."""
    lines = [flag.message for flag in plate.flags]
    for photograph in plate.photographs:
        lines += [f"{photograph.image}: {flag.message}" for flag in photograph.flags if flag.code in _SHOWN_CODES]
    for track in plate.tracks:
        lines += [f"plant {track.id}: {flag.message}" for flag in track.flags]
    lines = list(dict.fromkeys(lines))
    shown = lines[:_MAX_SHOWN_FLAGS]
    if len(lines) > len(shown):
        shown.append(f"{len(lines) - len(shown)} more remarks are in {SERIES_JSON}")
    if any(rate.quality == "uncertain" for track in plate.tracks for rate in track.growth):
        shown.append("~ marks uncertain rates")
    return shown
