"""Definitions of all flags of phenotypes and series, for the reference of flags."""

from typing import Literal, NamedTuple

Subject = Literal["image", "plant", "trait", "series"]


class FlagDefinition(NamedTuple):
    """Meaning of a flag, and what a researcher can do about it."""

    code: str
    subject: Subject
    """What carries the flag. Traits also carry the flags of their plant and image that concern them."""
    meaning: str
    remedy: str = ""


FLAG_DEFINITIONS: tuple[FlagDefinition, ...] = (
    # The image: scale and plate
    FlagDefinition("scale_unknown", "image", "No scale was given and no plate was found.", "Send `mm_per_px`."),
    FlagDefinition(
        "scale_conflict",
        "image",
        "The given scale and the edge of the plate differ by more than 3 %. The given scale is used.",
        "Check `mm_per_px` and the plate's edge on the overlay.",
    ),
    FlagDefinition(
        "plate_tilted",
        "image",
        "The plate is turned by more than 5 degrees. Angles and extents follow the axes of the plate.",
    ),
    FlagDefinition(
        "no_plate",
        "image",
        "No square plate is completely in the image.",
        "Photograph the whole plate with a margin. For a crop, send `mm_per_px`.",
    ),
    FlagDefinition("round_plate", "image", "A round object was found instead of a square plate.", "Send `mm_per_px`."),
    FlagDefinition(
        "not_a_plate",
        "image",
        "The image may not show a plate with plants. The message has the reasons.",
        "Look at the overlay. With `strict=true`, such an image gets 422 instead of a result.",
    ),
    FlagDefinition(
        "plate_edge_weak",
        "image",
        "The edge of the plate has a low confidence, so the scale may be wrong.",
        "Check the edge on the overlay, or send `mm_per_px`.",
    ),
    FlagDefinition("several_plates", "image", "The image shows several plates. `plate` is the number of each one."),
    FlagDefinition(
        "plate_cropped",
        "image",
        "Plants with roots were found, but no edge of a plate. Roots may continue outside the image.",
        "Send the whole photograph.",
    ),
    # The image: pixels
    FlagDefinition(
        "not_a_photograph",
        "image",
        "Many neighbouring pixels are equal, as in a drawing or a screenshot.",
        "Send the file of the camera.",
    ),
    FlagDefinition(
        "few_grey_levels",
        "image",
        "The image has few grey levels, so faint roots are lost.",
        "Send the file of the camera, without conversion.",
    ),
    FlagDefinition("clipped", "image", "Much of the plate is black or white.", "Change the exposure."),
    FlagDefinition(
        "compression",
        "image",
        "The quantisation tables of the JPEG are those of a quality below 70. Thin roots suffer.",
        "Send the file of the camera.",
    ),
    FlagDefinition(
        "strong_compression", "image", "As `compression`, below a quality of 40.", "Send the file of the camera."
    ),
    FlagDefinition(
        "low_resolution",
        "image",
        "The image has fewer than 13 px/mm, the lowest resolution of the training data.",
        "Send the file of the camera, or photograph from nearer.",
    ),
    FlagDefinition("very_low_resolution", "image", "As `low_resolution`, below 6 px/mm.", "Photograph from nearer."),
    FlagDefinition(
        "roots_grow_upwards",
        "image",
        "Most primary roots grow upwards or sideways, so the photograph is turned.",
        "Send `rotate=90`, `180` or `270`.",
    ),
    # The image: plants and roots
    FlagDefinition("no_plant", "image", "No shoot, seed or root base was detected.", "Look at the overlay."),
    FlagDefinition(
        "plant_count",
        "image",
        "The number of plants is not the expected one.",
        "Look at the overlay for missing or false plants.",
    ),
    FlagDefinition(
        "root_everywhere",
        "image",
        "So much of the image is classified as root that no root system was traced.",
        "Check that the image shows a plate, and its exposure.",
    ),
    FlagDefinition("clutter", "image", "Small root-like objects were ignored because the image has too many."),
    FlagDefinition("second_base", "image", "Two root bases are so close that they count as one plant."),
    FlagDefinition("base_left_out", "image", "A root base without shoot and root does not count as a plant."),
    FlagDefinition(
        "stray_shoot", "image", "An object like a shoot does not count as a plant, for the reason in the message."
    ),
    FlagDefinition(
        "stray_seed",
        "image",
        "An object like a seed does not count as an ungerminated plant, for the reason in the message.",
        "Look at its position on the overlay. Dust is smaller, fainter, or away from the row of plants.",
    ),
    FlagDefinition(
        "unassigned_root",
        "image",
        "A piece of root is not connected to any plant. It counts in `plate_unassigned_root_length`.",
        "Look at its position on the overlay.",
    ),
    FlagDefinition(
        "unmarked_root", "image", "A piece of root has no tip, and is not part of any root.", "Look at its position."
    ),
    FlagDefinition("short_roots_unassigned", "image", "Short pieces of root are not part of any root."),
    FlagDefinition(
        "not_calibrated",
        "image",
        "No error model was fitted for these weights, so no value has an interval.",
        "Run `thale-models fit-error-model` for your own weights.",
    ),
    FlagDefinition(
        "corrected",
        "image",
        "A person corrected roots or removed plants. The message names them. Plants and traits have this flag too. A "
        "corrected trait has no interval, because the error model describes traced roots.",
    ),
    # Plants
    FlagDefinition(
        "checked", "plant", "A person checked all roots of the plant, so that doubts about their tracing ended."
    ),
    FlagDefinition("ungerminated", "plant", "A seed without root and shoot."),
    FlagDefinition("no_root", "plant", "A shoot without a visible root."),
    FlagDefinition("no_shoot", "plant", "A root base without a visible shoot."),
    FlagDefinition(
        "base_inferred",
        "plant",
        "The landmark model found no root base. The contact of root and shoot is used.",
        "Check the start of the primary root.",
    ),
    FlagDefinition(
        "base_hidden",
        "plant",
        "The root is hidden between the shoot and its first visible point. The hidden part is not measured.",
    ),
    FlagDefinition(
        "tip_unconfirmed",
        "plant",
        "The landmark model found no tip within 2 mm of the end of the primary root.",
        "Check the end of the primary root.",
    ),
    FlagDefinition("tip_shared", "plant", "Two primary roots end at the same tip.", "Check both roots."),
    FlagDefinition(
        "crossing",
        "plant",
        "A root continues beyond a crossing, and two plants are equally likely to own it.",
        "Decide at its position.",
    ),
    FlagDefinition(
        "crossing_by_lane",
        "plant",
        "As `crossing`. The root was assigned to the plant in whose lane it grows.",
        "Check at its position.",
    ),
    FlagDefinition(
        "root_in_other_lane",
        "plant",
        "A root touches a root of a neighbour and ends in the neighbour's lane. It may belong to the neighbour.",
        "Check at its position.",
    ),
    FlagDefinition(
        "lateral_longer",
        "plant",
        "A lateral is longer than the primary root. It may be another root.",
        "Check at its position.",
    ),
    FlagDefinition("lateral_hidden", "plant", "A lateral ends under another root. Its length is unknown."),
    FlagDefinition(
        "root_unassigned",
        "plant",
        "More than 5 % of the root at this plant is part of no root. The total may be too small.",
        "Look at the overlay.",
    ),
    FlagDefinition(
        "methods_disagree",
        "plant",
        "The ridge filter, an independent method, does not find the same roots.",
        "Look at the overlay.",
    ),
    FlagDefinition("shoot_at_rim", "plant", "The shoot ends at the plate's rim or the image border."),
    FlagDefinition("shoots_touch", "plant", "The shoot touches a neighbouring shoot."),
    # Traits
    FlagDefinition("no_scale", "trait", "The value is in pixels, because the scale is unknown.", "Send `mm_per_px`."),
    FlagDefinition("tilt_unknown", "trait", "The value is relative to the axes of the image, not of a plate."),
    FlagDefinition(
        "error_likely",
        "trait",
        "The error model expects an error above the tolerance.",
        "Look at the overlay, and correct the value or leave it out.",
    ),
    FlagDefinition("depends_on_uncertain", "trait", "The value is computed from another that is not `ok`."),
    FlagDefinition("diameter_unknown", "trait", "The roots are too thin, too faint or too close to others."),
    FlagDefinition("insertion_angle_unknown", "trait", "No lateral has a measurable insertion."),
    FlagDefinition(
        "photograph_needed",
        "trait",
        "The value needs the pixels along the roots, and a person corrected the roots after the measurement.",
    ),
    FlagDefinition("hypocotyl_hidden", "trait", "The end of the hypocotyl is not visible."),
    # Series
    FlagDefinition("not_measured", "series", "Photographs could not be measured.", "`failed.csv` has the reasons."),
    FlagDefinition("single_photograph", "series", "The plate has one photograph, so it has no growth."),
    FlagDefinition(
        "time_of_day_unknown", "series", "Only the date is known.", "Give `--time-of-day` or a table of times."
    ),
    FlagDefinition("time_zone_unknown", "series", "The times have no time zone.", "Give `--time-zone`."),
    FlagDefinition("models_changed", "series", "Two photographs have different model versions.", "Measure them again."),
    FlagDefinition("no_plate_edge", "series", "Positions are relative to the image, because no plate was found."),
    FlagDefinition(
        "positions_disagree",
        "series",
        "Many plants moved since the earlier photograph. It may show another plate.",
        "Compare the overlays.",
    ),
    FlagDefinition(
        "no_plant_matched", "series", "No plant is at the place of an earlier one.", "Compare the overlays."
    ),
    FlagDefinition("scale_changed", "series", "The scales of two photographs differ."),
    FlagDefinition(
        "scale_inconsistent",
        "series",
        "The plate or the distances between plants have different sizes on two photographs.",
        "Give the right scale.",
    ),
    FlagDefinition("scale_unconfirmed", "series", "Too few plants are on both photographs to confirm the scale."),
    FlagDefinition("not_followed", "series", "The plants of a photograph cannot be followed without a scale or plate."),
    FlagDefinition("position_unknown", "series", "The plant has no position, so it cannot be followed."),
    FlagDefinition("identity_ambiguous", "series", "Another plant fits almost as well.", "Compare the overlays."),
    FlagDefinition("identity_swap", "series", "Two plants may be exchanged on a photograph.", "Compare the overlays."),
    FlagDefinition(
        "path_changed",
        "series",
        "The earlier tip is not on the later root. One of them was traced in another way.",
        "Compare the overlays.",
    ),
    FlagDefinition("appeared_late", "series", "The plant is not on the first photograph."),
    FlagDefinition("not_seen", "series", "The plant is missing on photographs between two others."),
    FlagDefinition("vanished", "series", "The plant is missing on the last photographs.", "Compare the overlays."),
    FlagDefinition("root_shrinks", "series", "A length decreases by more than its error.", "Compare the overlays."),
    FlagDefinition("value_unknown", "series", "The growth is unknown, because one value is."),
    FlagDefinition("no_interval", "series", "The growth has no interval, because one value has none."),
)
