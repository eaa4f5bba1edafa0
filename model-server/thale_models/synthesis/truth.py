"""The truth of a drawn plate as files: RSML for the roots, COCO keypoints for the landmarks."""

import json

from lxml import etree

from thale_models.synthesis.plate import SyntheticPlate, TrueRoot

LANDMARK_KINDS = ("root_base", "primary_tip", "lateral_tip")
_PO = "http://www.plantontology.org/xml-dtd/po.dtd"
_ACCESSIONS = {1: "PO:0020127"}
_LATERAL_ACCESSION = "PO:0020121"


def rsml(plate: SyntheticPlate, image_name: str) -> bytes:
    """Return the true roots as RSML, nested by order, in pixels of the image; resolution is in pixels a centimetre."""
    document = etree.Element("rsml", nsmap={"po": _PO})
    metadata = etree.SubElement(document, "metadata")
    fields = {
        "version": "1",
        "unit": "cm",
        "resolution": repr(10.0 / plate.mm_per_px),
        "last-modified": "1970-01-01T00:00:00Z",
        "software": "thale-models synthesize",
        "user": "",
        "file-key": str(plate.seed),
    }
    for name, value in fields.items():
        etree.SubElement(metadata, name).text = value
    etree.SubElement(etree.SubElement(metadata, "image"), "name").text = image_name
    scene = etree.SubElement(document, "scene")
    for plant in plate.plants:
        element = etree.SubElement(scene, "plant", id=str(plant.id), label=f"plant {plant.id}")
        by_id: dict[str | None, etree._Element] = {None: element}
        for root in plant.roots:
            by_id[root.id] = _root_element(by_id[root.parent], root)
    return bytes(etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def keypoints(plate: SyntheticPlate, image_name: str) -> bytes:
    """Return the landmarks as COCO: one annotation with one keypoint for each, its category the landmark's kind.

    COCO's usual annotation (all keypoints of one plant) cannot hold a number of lateral tips that varies.
    """
    height, width = plate.mask_HW.shape
    categories = [
        {"id": i, "name": kind, "keypoints": [kind], "skeleton": []} for i, kind in enumerate(LANDMARK_KINDS, start=1)
    ]
    annotations = [
        {
            "id": i,
            "image_id": 1,
            "category_id": LANDMARK_KINDS.index(mark.kind) + 1,
            "keypoints": [round(mark.x, 3), round(mark.y, 3), 2],
            "num_keypoints": 1,
            "bbox": [round(mark.x, 3), round(mark.y, 3), 0, 0],
            "area": 0,
            "iscrowd": 0,
        }
        for i, mark in enumerate(plate.landmarks, start=1)
    ]
    image = {"id": 1, "file_name": image_name, "width": width, "height": height}
    return json.dumps({"images": [image], "categories": categories, "annotations": annotations}).encode()


def _root_element(parent: etree._Element, root: TrueRoot) -> etree._Element:
    element = etree.SubElement(parent, "root", id=root.id, label=f"root {root.id}")
    element.set(f"{{{_PO}}}accession", _ACCESSIONS.get(root.order, _LATERAL_ACCESSION))
    polyline = etree.SubElement(etree.SubElement(element, "geometry"), "polyline")
    for x, y in root.points:
        etree.SubElement(polyline, "point", x=f"{x:.3f}", y=f"{y:.3f}")
    function = etree.SubElement(etree.SubElement(element, "functions"), "function", name="diameter", domain="uniform")
    etree.SubElement(function, "sample").text = f"{root.width_px:.3f}"
    return element
