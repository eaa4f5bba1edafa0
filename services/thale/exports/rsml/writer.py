"""Writer of RSML files, with elements in the order of the schema (rsml.xsd of the RSML validator).

The schema requires at least two points per root, one root per plant and one plant per scene. A plate without germinated
seeds needs a file too, so documents below these minimums are written unchanged.
"""

import math
from decimal import Decimal

from lxml import etree

from thale.exports.rsml.document import (
    XY,
    Annotation,
    Function,
    Metadata,
    Property,
    RsmlDocument,
    RsmlPlant,
    RsmlRoot,
)

PO_NAMESPACE = "http://www.plantontology.org/xml-dtd/po.dtd"
ACCESSION = f"{{{PO_NAMESPACE}}}accession"


def save(document: RsmlDocument, last_modified: str | None = None) -> bytes:
    """Return a document as an RSML file in UTF-8, including all unknown elements.

    Args:
        document: The document to write.
        last_modified: ISO 8601 date and time. The default is that of the document.
    """
    root = etree.Element("rsml", nsmap={"po": PO_NAMESPACE})
    _write_metadata(root, document.metadata, last_modified or document.metadata.last_modified)
    scene = etree.SubElement(root, "scene")
    _write_properties(scene, document.properties)
    for plant in document.plants:
        _write_plant(scene, plant)
    _write_annotations(scene, document.annotations)
    _write_extras(scene, document.extras)
    etree.indent(root)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def xml_text(text: str) -> str:
    """Return the text with every character that XML 1.0 does not allow replaced by U+FFFD."""
    return "".join(character if _is_xml_character(ord(character)) else "�" for character in text)


def _is_xml_character(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000


def _format_number(value: float) -> str:
    """Return a number as xs:decimal: all digits, without exponent. A number that is not finite becomes NaN."""
    if not math.isfinite(value):
        return "NaN"
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _write_text(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = xml_text(text)


def _write_metadata(parent: etree._Element, metadata: Metadata, last_modified: str | None) -> None:
    element = etree.SubElement(parent, "metadata")
    _write_text(element, "version", metadata.version)
    _write_text(element, "unit", metadata.unit)
    _write_text(element, "resolution", _format_number(metadata.resolution))
    if last_modified:
        _write_text(element, "last-modified", last_modified)
    _write_text(element, "software", metadata.software)
    _write_text(element, "user", metadata.user)
    _write_text(element, "file-key", metadata.file_key)
    if metadata.image:
        image = etree.SubElement(element, "image")
        _write_text(image, "name", metadata.image.name)
        for tag, value in (("captured", metadata.image.captured), ("sha256", metadata.image.sha256)):
            if value:
                _write_text(image, tag, value)
    if metadata.property_definitions:
        _write_property_definitions(element, metadata)
    if metadata.time_sequence:
        sequence = etree.SubElement(element, "time-sequence")
        _write_text(sequence, "label", metadata.time_sequence.label)
        _write_text(sequence, "index", str(metadata.time_sequence.index))
        _write_text(sequence, "unified", str(metadata.time_sequence.unified).lower())
    _write_extras(element, metadata.extras)


def _write_property_definitions(parent: etree._Element, metadata: Metadata) -> None:
    definitions = etree.SubElement(parent, "property-definitions")
    for definition in metadata.property_definitions:
        element = etree.SubElement(definitions, "property-definition")
        _write_text(element, "label", definition.label)
        _write_text(element, "type", definition.type)
        for tag, value in (("unit", definition.unit), ("default", definition.default)):
            if value is not None:
                _write_text(element, tag, value)


def _write_plant(scene: etree._Element, plant: RsmlPlant) -> None:
    element = etree.SubElement(scene, "plant", _id_attributes(plant))
    _write_properties(element, plant.properties)
    for root in plant.roots:
        _write_root(element, root)
    _write_annotations(element, plant.annotations)
    _write_extras(element, plant.extras)


def _write_root(parent: etree._Element, root: RsmlRoot) -> None:
    element = etree.SubElement(parent, "root", _id_attributes(root))
    if root.accession:
        element.set(ACCESSION, xml_text(root.accession))
    _write_properties(element, root.properties)
    if root.points or root.geometry_extras:
        geometry = etree.SubElement(element, "geometry")
        _write_points(etree.SubElement(geometry, "polyline"), root.points, root.depths)
        _write_extras(geometry, root.geometry_extras)
    if root.functions or root.function_extras:
        functions = etree.SubElement(element, "functions")
        for function in root.functions:
            _write_function(functions, function)
        _write_extras(functions, root.function_extras)
    _write_annotations(element, root.annotations)
    _write_extras(element, root.extras)
    for lateral in root.roots:
        _write_root(element, lateral)


def _id_attributes(node: RsmlPlant | RsmlRoot) -> dict[str, str]:
    attributes = {"id": xml_text(node.id)}
    if node.label is not None:
        attributes["label"] = xml_text(node.label)
    return attributes | dict(node.attributes)


def _write_points(parent: etree._Element, points: tuple[XY, ...], depths: tuple[float | None, ...] = ()) -> None:
    for index, (x, y) in enumerate(points):
        point = etree.SubElement(parent, "point", {"x": _format_number(x), "y": _format_number(y)})
        depth = depths[index] if index < len(depths) else None
        if depth is not None:
            point.set("z", _format_number(depth))


def _write_function(parent: etree._Element, function: Function) -> None:
    element = etree.SubElement(parent, "function", name=xml_text(function.name), domain=xml_text(function.domain))
    if function.origin:
        element.set("origin", xml_text(function.origin))
    for sample in function.samples:
        child = etree.SubElement(element, "sample")
        if sample.position is not None:
            child.set("position", _format_number(sample.position))
        child.set("value", _format_number(sample.value))


def _write_annotations(parent: etree._Element, annotations: tuple[Annotation, ...]) -> None:
    if not annotations:
        return
    element = etree.SubElement(parent, "annotations")
    for annotation in annotations:
        child = etree.SubElement(element, "annotation")
        if annotation.name is not None:
            child.set("name", xml_text(annotation.name))
        _write_points(child, annotation.points)
        _write_text(child, "value", annotation.value)
        _write_text(child, "software", annotation.software)


def _write_properties(parent: etree._Element, properties: tuple[Property, ...]) -> None:
    if not properties:
        return
    element = etree.SubElement(parent, "properties")
    for property_ in properties:
        if property_.xml is None:
            _write_text(element, property_.name, property_.value)
        else:
            element.append(etree.fromstring(property_.xml))


def _write_extras(parent: etree._Element, extras: tuple[str, ...]) -> None:
    for extra in extras:
        parent.append(etree.fromstring(extra))
