"""Series: the same plants on photographs of different times, with their growth.

    timestamps    time of a photograph: given, from EXIF, or from its name
    plates        plate of a photograph: given, or from its name
    registration  positions in millimetres from the corner of the plate
    matching      plants of different photographs that are the same plant
    tracks        plants followed from photograph to photograph
    identity      paths of roots that contradict the matching
    scale         changes of scale between photographs
    growth        growth rates with intervals
    tips          movement of primary tips
    follow        all of them, for one plate

It reads phenotypes that were measured before, and no pixels.
"""
