"""Names of the features of a plant, without the imports of their computation: settings are checked with them."""

FEATURE_NAMES = frozenset(
    """
    angle background_ridges base_distance_mm base_score
    base_to_shoot_mm bending borderline_laterals compression contact_mm contested_share
    contrast contrast_to_background doubtful_laterals exchange_margin
    expected_false_laterals expected_missed_laterals flag_base_hidden flag_base_inferred
    flag_crossing flag_crossing_by_lane flag_lateral_longer flag_methods_disagree
    flag_root_in_other_lane flag_root_unassigned flag_tip_shared foreign_tips
    frame_factor hidden_laterals higher_orders image_confidence lane_offset
    lateral_faint_share lateral_gap_mm lateral_gaps lateral_log_doubt
    lateral_longest_gap_mm lateral_mean_probability lateral_min_probability lateral_mm
    lateral_score_at_tip laterals laterals_along_roots likeliest_missed
    longest_lateral_share missed_log_doubt no_laterals other_flags plate_doubt plate_skew
    primary_contact_mm primary_faint_share primary_gap_mm primary_gaps
    primary_longest_gap_mm primary_margin primary_mean_probability
    primary_min_probability primary_mm primary_score_at_laterals primary_under_shoot_mm
    resolution_above resolution_below ridge_deficit ridge_excess ridge_support
    ridge_unknown shoot_confidence shoot_mm2 rim_at_roots rim_at_tip sharpest_bend short_laterals short_primary
    spacing_mm tip_distance_mm tip_score unassigned_mm unconfirmed_ends
    unconfirmed_share unlike_neighbours untraced_certain_mm2 untraced_faint_mm2
    unused_tips weakest_lateral
    """.split()  # noqa: SIM905 (84 names fit on one screen)
)
"""Features that `thale.phenotyping.quality.features.plant_features` returns for every plant with roots."""
