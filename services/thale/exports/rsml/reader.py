"""Tolerant reader of RSML files. The warnings of the document list each deviation from the format.

Deviations in published files: geometry only as <rootnavspline>, `ID` for `id`, empty or duplicate ids, a resolution of
"300 dpi" or "xxx dpi", US and European dates, laterals next to their primary root instead of inside it, roots without
geometry, the unit "inch", `po:accession` without its namespace or as `accession`, decimal commas, points as child
elements. Unknown elements are stored unchanged, and `save` writes them.
"""

import math
import re
from collections.abc import Iterable

from lxml import etree

from thale.errors import AnnotationError
from thale.exports.rsml import topology
from thale.exports.rsml.dates import iso_date
from thale.exports.rsml.document import (
    XY,
    Annotation,
    Function,
    ImageReference,
    Metadata,
    Property,
    PropertyDefinition,
    RsmlDocument,
    RsmlPlant,
    RsmlRoot,
    Sample,
    TimeSequence,
)
from thale.exports.rsml.spline import catmull_rom
from thale.exports.rsml.xml import children, first, local_name, parse_untrusted, source_of, text_of
from thale.schemas import Flag

_UNIT_NAMES = {
    "px": "pixel",
    "pixels": "pixel",
    "": "pixel",
    "in": "inch",
    "inches": "inch",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
}
MAX_ORDER = 32
"""Maximum nesting depth of roots. Plants have about five orders; the limit bounds malicious files."""

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
_ID_ATTRIBUTES = {"id", "ID", "label", "accession", "poaccession", "po:accession"}


def read(data: bytes) -> RsmlDocument:
    """Return the document of an RSML file.

    Raises:
        AnnotationError: If the file is not RSML, or is malicious XML: see `thale.exports.rsml.xml`.
    """
    root = parse_untrusted(data)
    if local_name(root) != "rsml":
        raise AnnotationError(f"the root element is <{local_name(root)}>, not <rsml>: send an RSML file")
    return _Reader().document(root)


class _Reader:
    """State of one read: the warnings, and the ids in use."""

    def __init__(self) -> None:
        self.warnings: dict[str, list[str]] = {}
        self.used_ids: set[tuple[str, str]] = set()

    def warn(self, code: str, where: str) -> None:
        self.warnings.setdefault(code, []).append(where)

    def document(self, root: etree._Element) -> RsmlDocument:
        scene = first(root, "scene")
        if scene is None:
            self.warn("no_scene", "the file has no <scene>, so it has no plants")
        metadata = self.metadata(first(root, "metadata"))
        plants = tuple(self.plant(element, index) for index, element in enumerate(children(scene, "plant"), 1))
        annotations, leftovers = self.annotations(scene)
        return RsmlDocument(
            metadata=metadata,
            plants=plants,
            properties=self.properties(scene),
            annotations=annotations,
            extras=(*leftovers, *_unknown_elements(scene, {"properties", "plant", "annotations"})),
            warnings=tuple(_flag(code, locations) for code, locations in self.warnings.items()),
        )

    def metadata(self, element: etree._Element | None) -> Metadata:
        if element is None:
            self.warn("no_metadata", "the file has no <metadata>: lengths are in pixels")
        unit, resolution = self.scale(text_of(element, "unit"), text_of(element, "resolution"))
        known = {"version", "unit", "resolution", "last-modified", "software", "user", "file-key", "image"}
        known |= {"property-definitions", "time-sequence"}
        return Metadata(
            version=text_of(element, "version") or "1",
            unit=unit,
            resolution=resolution,
            last_modified=self.date(text_of(element, "last-modified"), "last-modified"),
            software=text_of(element, "software"),
            user=text_of(element, "user"),
            file_key=text_of(element, "file-key"),
            image=self.image(first(element, "image")),
            time_sequence=self.time_sequence(first(element, "time-sequence")),
            property_definitions=tuple(
                PropertyDefinition(
                    text_of(definition, "label"),
                    text_of(definition, "type"),
                    text_of(definition, "unit") or None,
                    text_of(definition, "default") or None,
                )
                for definition in children(first(element, "property-definitions"), "property-definition")
            ),
            extras=_unknown_elements(element, known),
        )

    def scale(self, unit_text: str, resolution_text: str) -> tuple[str, float]:
        """Return the unit and the pixels per unit. A missing unit is "pixel".

        If the resolution is not a positive number, the result is "pixel" and 1.
        """
        unit = _UNIT_NAMES.get(unit_text.lower(), unit_text if unit_text == "µm" else unit_text.lower())
        match = _NUMBER.search(resolution_text)
        resolution = float(match.group().replace(",", ".")) if match else math.nan
        if match and "dpi" in resolution_text.lower():
            self.warn("resolution_with_unit", f"resolution {resolution_text!r} is read as pixels per inch")
            unit = "inch"
        if not math.isfinite(resolution) or resolution <= 0:
            if resolution_text or unit != "pixel":
                self.warn(
                    "no_resolution", f"resolution {resolution_text!r} is not a positive number: lengths are in pixels"
                )
            return "pixel", 1.0
        return unit, resolution

    def date(self, text: str, where: str) -> str | None:
        date = iso_date(text)
        if text and date is None:
            self.warn("date", f"{where} {text!r} is not a date, or is ambiguous")
        elif date is not None and date != text:
            self.warn("date", f"{where} {text!r} is read as {date}")
        return date

    def image(self, element: etree._Element | None) -> ImageReference | None:
        if element is None:
            return None
        captured = self.date(text_of(element, "captured"), "captured")
        name = text_of(element, "name") or (element.text or "").strip()
        return ImageReference(name, text_of(element, "sha256") or None, captured)

    def time_sequence(self, element: etree._Element | None) -> TimeSequence | None:
        if element is None:
            return None
        index = self.number(text_of(element, "index"), "time-sequence")
        unified = text_of(element, "unified").lower() in ("true", "1")
        return TimeSequence(text_of(element, "label"), int(index) if index is not None else 0, unified)

    def plant(self, element: etree._Element, index: int) -> RsmlPlant:
        own_id = self.unique_id(element, str(index))
        roots = tuple(
            self.root(child, f"{own_id}.{number}") for number, child in enumerate(children(element, "root"), 1)
        )
        nested = topology.nest_laterals(roots)
        if len(nested) < len(roots):
            self.warn("flat_laterals", f"plant {own_id}: laterals next to their primary root are nested below it")
        annotations, leftovers = self.annotations(element)
        return RsmlPlant(
            id=own_id,
            label=element.get("label"),
            roots=nested,
            properties=self.properties(element),
            annotations=annotations,
            attributes=_attributes(element),
            extras=(*leftovers, *_unknown_elements(element, {"properties", "root", "annotations"})),
        )

    def root(self, element: etree._Element, default_id: str, order: int = 1) -> RsmlRoot:
        if order > MAX_ORDER:
            raise AnnotationError(
                f"roots are nested more than {MAX_ORDER} deep: send a file with up to {MAX_ORDER} orders"
            )
        own_id = self.unique_id(element, default_id)
        points, depths, geometry_extras = self.geometry(first(element, "geometry"), own_id)
        annotations, leftovers = self.annotations(element)
        functions, unreadable_functions = self.functions(first(element, "functions"), own_id)
        return RsmlRoot(
            id=own_id,
            label=element.get("label"),
            accession=_accession(element),
            points=points,
            depths=depths,
            properties=self.properties(element),
            functions=functions,
            annotations=annotations,
            roots=tuple(
                self.root(child, f"{own_id}.{number}", order + 1)
                for number, child in enumerate(children(element, "root"), 1)
            ),
            attributes=_attributes(element),
            geometry_extras=geometry_extras,
            function_extras=unreadable_functions,
            extras=(
                *leftovers,
                *_unknown_elements(element, {"properties", "geometry", "functions", "annotations", "root"}),
            ),
        )

    def unique_id(self, element: etree._Element, default: str) -> str:
        """Return the id of an element, or a new id if it has none or a duplicate."""
        given_id = (element.get("id") or element.get("ID") or "").strip()
        if element.get("id") is None and element.get("ID") is not None:
            self.warn("id_spelling", f"ID for id at {given_id!r}")
        if not given_id:
            self.warn("no_id", f"{local_name(element)} {default}")
        own_id, copy_number = given_id or default, 2
        kind = local_name(element)
        while (kind, own_id) in self.used_ids:
            own_id, copy_number = f"{given_id or default}-{copy_number}", copy_number + 1
        if given_id and own_id != given_id:
            self.warn("duplicate_id", f"{kind} id {given_id} is a duplicate; it is read as {own_id}")
        self.used_ids.add((kind, own_id))
        return own_id

    def geometry(
        self, element: etree._Element | None, root_id: str
    ) -> tuple[tuple[XY, ...], tuple[float | None, ...], tuple[str, ...]]:
        """Return the points of a root, their depths, and the elements that are not polylines."""
        polyline = first(element, "polyline")
        points, depths = self.points(polyline, root_id)
        if not points:
            control, _ = self.points(first(element, "rootnavspline"), root_id)
            if control:
                self.warn("spline_only", f"root {root_id} has a <rootnavspline> and no polyline")
                points, depths = catmull_rom(control), ()
        if not points:
            self.warn("no_geometry", f"root {root_id}")
        return points, depths, _unknown_elements(element, {"polyline"})

    def points(self, element: etree._Element | None, where: str) -> tuple[tuple[XY, ...], tuple[float | None, ...]]:
        points, depths = [], []
        for point in children(element, "point"):
            x, y, z = (self.number(_coordinate(point, axis), where) for axis in "xyz")
            if x is None or y is None:
                self.warn("bad_point", f"a point of {where} has no x and y")
                continue
            points.append((x, y))
            depths.append(z)
        return tuple(points), tuple(depths) if any(depth is not None for depth in depths) else ()

    def number(self, text: str, where: str) -> float | None:
        """Return a finite number, with decimal point or comma, or None for any other text."""
        if not _NUMBER.fullmatch(text.strip()):
            return None
        if "," in text:
            self.warn("decimal_comma", f"{where}: {text!r}")
        value = float(text.replace(",", "."))
        return value if math.isfinite(value) else None

    def functions(self, element: etree._Element | None, where: str) -> tuple[tuple[Function, ...], tuple[str, ...]]:
        """Return the readable functions, and the source of the unreadable ones."""
        functions: list[Function] = []
        unreadable: list[str] = []
        for function in children(element, "function"):
            samples = [self.sample(sample, where) for sample in children(function, "sample")]
            usable = [sample for sample in samples if sample is not None]
            if len(usable) < len(samples):
                self.warn("odd_function", f"root {where}: {function.get('name')}")
                unreadable.append(source_of(function))
                continue
            name, domain = function.get("name") or "", function.get("domain") or "polyline"
            functions.append(Function(name, domain, tuple(usable), function.get("origin")))
        return tuple(functions), tuple(unreadable)

    def sample(self, element: etree._Element, where: str) -> Sample | None:
        text = element.get("value") or text_of(element, "value") or (element.text or "").strip()
        value = math.nan if text.lower() == "nan" else self.number(text, where)
        position = self.number(element.get("position") or "", where)
        return Sample(value, position) if value is not None else None

    def annotations(self, parent: etree._Element | None) -> tuple[tuple[Annotation, ...], tuple[str, ...]]:
        """Return the annotations of an element, and the source of <annotations> elements with plain text."""
        annotations: list[Annotation] = []
        unreadable: list[str] = []
        for element in children(parent, "annotations"):
            if (element.text or "").strip() and not len(element):
                self.warn("odd_annotation", f"text {(element.text or '').strip()[:40]!r} for <annotation>")
                unreadable.append(source_of(element))
            for child in children(element, "annotation"):
                points, _ = self.points(child, "an annotation")
                value = text_of(child, "value") or (child.text or "").strip()
                annotations.append(Annotation(child.get("name"), points, value, text_of(child, "software")))
        return tuple(annotations), tuple(unreadable)

    def properties(self, parent: etree._Element | None) -> tuple[Property, ...]:
        return tuple(
            Property(
                local_name(child),
                (child.get("value") or child.text or "").strip(),
                source_of(child) if len(child) or child.attrib or child.prefix else None,
            )
            for element in children(parent, "properties")
            for child in element
            if local_name(child)
        )


def _unknown_elements(element: etree._Element | None, known: Iterable[str]) -> tuple[str, ...]:
    names = set(known)
    return (
        tuple(source_of(child) for child in element if local_name(child) not in {*names, ""})
        if (element is not None)
        else ()
    )


def _accession(element: etree._Element) -> str | None:
    for name, value in element.attrib.items():
        if etree.QName(name).localname in ("accession", "poaccession") and value.strip():
            return str(value).strip()
    return None


def _attributes(element: etree._Element) -> tuple[tuple[str, str], ...]:
    """Return the attributes that are not fields of the document."""
    return tuple(
        (str(name), str(value))
        for name, value in element.attrib.items()
        if etree.QName(name).localname not in _ID_ATTRIBUTES
    )


def _flag(code: str, locations: list[str]) -> Flag:
    more = f" (and {len(locations) - 1} more)" if len(locations) > 1 else ""
    return Flag(code=f"rsml_{code}", message=f"{locations[0]}{more}")


def _coordinate(point: etree._Element, axis: str) -> str:
    """Return a coordinate as text: an attribute by the schema, or a child element in the oldest files."""
    return str(point.get(axis) or (text_of(point, axis) if len(point) else ""))
