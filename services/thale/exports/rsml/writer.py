"""RsmlDocument to XML, in the order of the format's schema (rsml.xsd of the RSML validator).

The schema wants at least two points a root, one root a plant and one plant a scene. A plate on which nothing
germinated is worth a file too, so these three are written as they are, never invented or left out.
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
    """Return a document as an RSML file, UTF-8, with everything that was read from it.

    Args:
        document: What to write.
        last_modified: ISO 8601 date and time to write instead of the document's own.
    """
    root = etree.Element("rsml", nsmap={"po": PO_NAMESPACE})
    _metadata(root, document.metadata, last_modified or document.metadata.last_modified)
    scene = etree.SubElement(root, "scene")
    _properties(scene, document.properties)
    for plant in document.plants:
        _plant(scene, plant)
    _annotations(scene, document.annotations)
    _extras(scene, document.extras)
    etree.indent(root)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def xml_text(text: str) -> str:
    """Return the text with every character that XML 1.0 cannot hold replaced by U+FFFD."""
    return "".join(character if _allowed(ord(character)) else "�" for character in text)


def _allowed(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000


def _number(value: float) -> str:
    """Return a number as xs:decimal has it: all its digits, no exponent."""
    if not math.isfinite(value):
        return "NaN"
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = xml_text(text)


def _metadata(parent: etree._Element, metadata: Metadata, last_modified: str | None) -> None:
    element = etree.SubElement(parent, "metadata")
    _text(element, "version", metadata.version)
    _text(element, "unit", metadata.unit)
    _text(element, "resolution", _number(metadata.resolution))
    if last_modified:
        _text(element, "last-modified", last_modified)
    _text(element, "software", metadata.software)
    _text(element, "user", metadata.user)
    _text(element, "file-key", metadata.file_key)
    if metadata.image:
        image = etree.SubElement(element, "image")
        _text(image, "name", metadata.image.name)
        for tag, value in (("captured", metadata.image.captured), ("sha256", metadata.image.sha256)):
            if value:
                _text(image, tag, value)
    if metadata.property_definitions:
        _property_definitions(element, metadata)
    if metadata.time_sequence:
        sequence = etree.SubElement(element, "time-sequence")
        _text(sequence, "label", metadata.time_sequence.label)
        _text(sequence, "index", str(metadata.time_sequence.index))
        _text(sequence, "unified", str(metadata.time_sequence.unified).lower())
    _extras(element, metadata.extras)


def _property_definitions(parent: etree._Element, metadata: Metadata) -> None:
    definitions = etree.SubElement(parent, "property-definitions")
    for definition in metadata.property_definitions:
        element = etree.SubElement(definitions, "property-definition")
        _text(element, "label", definition.label)
        _text(element, "type", definition.type)
        for tag, value in (("unit", definition.unit), ("default", definition.default)):
            if value is not None:
                _text(element, tag, value)


def _plant(scene: etree._Element, plant: RsmlPlant) -> None:
    element = etree.SubElement(scene, "plant", _identity(plant))
    _properties(element, plant.properties)
    for root in plant.roots:
        _root(element, root)
    _annotations(element, plant.annotations)
    _extras(element, plant.extras)


def _root(parent: etree._Element, root: RsmlRoot) -> None:
    element = etree.SubElement(parent, "root", _identity(root))
    if root.accession:
        element.set(ACCESSION, xml_text(root.accession))
    _properties(element, root.properties)
    if root.points or root.geometry_extras:
        geometry = etree.SubElement(element, "geometry")
        _points(etree.SubElement(geometry, "polyline"), root.points, root.depths)
        _extras(geometry, root.geometry_extras)
    if root.functions or root.function_extras:
        functions = etree.SubElement(element, "functions")
        for function in root.functions:
            _function(functions, function)
        _extras(functions, root.function_extras)
    _annotations(element, root.annotations)
    _extras(element, root.extras)
    for lateral in root.roots:
        _root(element, lateral)


def _identity(node: RsmlPlant | RsmlRoot) -> dict[str, str]:
    attributes = {"id": xml_text(node.id)}
    if node.label is not None:
        attributes["label"] = xml_text(node.label)
    return attributes | dict(node.attributes)


def _points(parent: etree._Element, points: tuple[XY, ...], depths: tuple[float | None, ...] = ()) -> None:
    for index, (x, y) in enumerate(points):
        point = etree.SubElement(parent, "point", {"x": _number(x), "y": _number(y)})
        depth = depths[index] if index < len(depths) else None
        if depth is not None:
            point.set("z", _number(depth))


def _function(parent: etree._Element, function: Function) -> None:
    element = etree.SubElement(parent, "function", name=xml_text(function.name), domain=xml_text(function.domain))
    if function.origin:
        element.set("origin", xml_text(function.origin))
    for sample in function.samples:
        child = etree.SubElement(element, "sample")
        if sample.position is not None:
            child.set("position", _number(sample.position))
        child.set("value", _number(sample.value))


def _annotations(parent: etree._Element, annotations: tuple[Annotation, ...]) -> None:
    if not annotations:
        return
    element = etree.SubElement(parent, "annotations")
    for annotation in annotations:
        child = etree.SubElement(element, "annotation")
        if annotation.name is not None:
            child.set("name", xml_text(annotation.name))
        _points(child, annotation.points)
        _text(child, "value", annotation.value)
        _text(child, "software", annotation.software)


def _properties(parent: etree._Element, properties: tuple[Property, ...]) -> None:
    if not properties:
        return
    element = etree.SubElement(parent, "properties")
    for each in properties:
        if each.xml is None:
            _text(element, each.name, each.value)
        else:
            element.append(etree.fromstring(each.xml))


def _extras(parent: etree._Element, extras: tuple[str, ...]) -> None:
    for extra in extras:
        parent.append(etree.fromstring(extra))
