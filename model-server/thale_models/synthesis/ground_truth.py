"""Ground truth of a synthetic plate as files: RSML for roots and shoot traits, COCO keypoints for landmarks."""

import json

from thale.exports import rsml
from thale_models.synthesis.plate import SyntheticPlate, TruePlant, TrueRoot

LANDMARK_KINDS = ("root_base", "primary_tip", "lateral_tip")
HYPOCOTYL_LENGTH, LEAF_COUNT = "hypocotyl_length", "leaf_count"
"""Properties of a plant in the RSML: a length in image px, and a count."""

_PRIMARY_ROOT, _LATERAL_ROOT = "PO:0020127", "PO:0020121"


def roots_to_rsml(plate: SyntheticPlate, image_name: str) -> bytes:
    """Return the true roots as RSML in image pixels, nested by order, with their diameters in px.

    Each plant has its hypocotyl length and its leaf count as properties.
    """
    document = rsml.RsmlDocument(
        metadata=rsml.Metadata(
            unit="mm",
            resolution=1 / plate.mm_per_px,
            software="thale-models synthesize",
            file_key=str(plate.seed),
            image=rsml.ImageReference(image_name),
            property_definitions=(
                rsml.PropertyDefinition(HYPOCOTYL_LENGTH, "real", "pixel"),
                rsml.PropertyDefinition(LEAF_COUNT, "integer"),
            ),
        ),
        plants=tuple(_rsml_plant(plant) for plant in plate.plants),
    )
    return rsml.save(document)


def landmarks_to_coco(plate: SyntheticPlate, image_name: str) -> bytes:
    """Return the landmarks as COCO: one annotation per landmark, with one keypoint and the kind as category.

    COCO's usual annotation has all keypoints of one plant, and cannot represent a variable number of lateral tips. The
    segmentation of a landmark is an empty mask, which pycocotools requires.
    """
    height, width = plate.mask_HW.shape
    categories = [
        {"id": i, "name": kind, "keypoints": [kind], "skeleton": []} for i, kind in enumerate(LANDMARK_KINDS, start=1)
    ]
    annotations = [
        {
            "id": i,
            "image_id": 1,
            "category_id": LANDMARK_KINDS.index(landmark.kind) + 1,
            "keypoints": [round(landmark.x, 3), round(landmark.y, 3), 2],
            "num_keypoints": 1,
            "segmentation": {"size": [height, width], "counts": [height * width]},
            "bbox": [round(landmark.x, 3), round(landmark.y, 3), 0, 0],
            "area": 0,
            "iscrowd": 0,
        }
        for i, landmark in enumerate(plate.landmarks, start=1)
    ]
    image = {"id": 1, "file_name": image_name, "width": width, "height": height}
    return json.dumps({"images": [image], "categories": categories, "annotations": annotations}).encode()


def _rsml_plant(plant: TruePlant) -> rsml.RsmlPlant:
    return rsml.RsmlPlant(
        id=str(plant.id),
        label=f"plant {plant.id}",
        roots=_child_roots(plant, None),
        properties=(
            rsml.Property(HYPOCOTYL_LENGTH, f"{plant.hypocotyl_px:.3f}"),
            rsml.Property(LEAF_COUNT, str(plant.leaves)),
        ),
    )


def _child_roots(plant: TruePlant, parent: str | None) -> tuple[rsml.RsmlRoot, ...]:
    return tuple(_rsml_root(plant, root) for root in plant.roots if root.parent == parent)


def _rsml_root(plant: TruePlant, root: TrueRoot) -> rsml.RsmlRoot:
    return rsml.RsmlRoot(
        id=root.id,
        label="primary" if root.order == 1 else "lateral",
        accession=_PRIMARY_ROOT if root.order == 1 else _LATERAL_ROOT,
        points=tuple((round(x, 3), round(y, 3)) for x, y in root.points),
        functions=(rsml.Function("diameter", "uniform", (rsml.Sample(round(root.width_px, 3)),)),),
        roots=_child_roots(plant, root.id),
    )
