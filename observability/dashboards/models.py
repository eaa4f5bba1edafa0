"""Do the models still see what they used to see: signs of accuracy, drift, and versions side by side.

Nobody knows the truth while thale serves. What can be seen is how sure a model is, how often it finds nothing, how far
a new version is from the old one on the same plate, and how far plates are from those of the card.
"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import (
    Column,
    PanelBuilder,
    Query,
    Thresholds,
    heatmap_panel,
    table_panel,
    time_series_panel,
)
from thale.release.judge.policy import JudgePolicy
from thale.slo import Slo

_NAME = "{{model}} {{version}}"
_BY_VERSION = "max by (model, version)"


def build(slo: Slo, policy: JudgePolicy, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("Versions side by side", [_version_table(slo, policy)]),
        PanelRow("How sure they are, and what they do not find", _confidence_panels(policy)),
        PanelRow("Drift from what the card saw", _drift_panels(policy)),
        PanelRow("A new version on the same plates as the old one", _shadow_panels(policy)),
        PanelRow("What they say", _output_panels()),
    ]
    description = "Signs of accuracy without a truth: confidence, gaps, drift from the card, agreement of versions."
    return build_dashboard("thale-models", "Models", description, rows, backend, period="now-24h")


def _version_table(slo: Slo, policy: JudgePolicy) -> PanelBuilder:
    drift = policy.drift.psi
    return table_panel(
        "Versions side by side",
        ["model", "version"],
        Column(
            "Plates",
            f"sum by (model, version) (model_version:thale_output_plates:rate1h{{{VERSION}}}) * 3600",
            "suffix: / h",
        ),
        Column("p99", f"{_BY_VERSION} (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})", "s"),
        Column(
            "Failing",
            f"{_BY_VERSION} (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
            "percentunit",
            Thresholds(warning=1 - slo.availability, critical=policy.margins.failures),
        ),
        Column(
            "Confidence",
            f"avg by (model, version) (model_version_organ:thale_output_confidence:mean_1h{{{VERSION}}} or "
            f"model_version:thale_output_score:mean_1h{{{VERSION}}})",
            "percentunit",
        ),
        Column(
            "No plant",
            f"{_BY_VERSION} (model_version:thale_output_empty:ratio_rate1h{{{VERSION}}})",
            "percentunit",
        ),
        Column(
            "Trait unknown",
            f"{_BY_VERSION} (model_version:thale_output_nan:ratio_rate1h{{{VERSION}}})",
            "percentunit",
        ),
        Column("Plants", f"{_BY_VERSION} (model_version:thale_output_plants:mean_1h{{{VERSION}}})", "suffix: / plate"),
        Column(
            "Drift (PSI)",
            f"{_BY_VERSION} (model_version:thale_drift_psi:max{{{VERSION}}})",
            "short",
            Thresholds(warning=drift / 2, critical=drift),
        ),
        Column("Drift (KS)", f"{_BY_VERSION} (model_version:thale_drift_ks:max{{{VERSION}}})", "percentunit"),
        unit="short",
        description="What each version did with the plates of the last hour. Landmark models have a score for confidence.",
        healthy="Versions of one model resemble each other in every column; a difference is what the judge weighs.",
        width=24,
        height=6,
    )


def _confidence_panels(policy: JudgePolicy) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Confidence by organ",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_output_confidence:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            description="Mean confidence of what was found, by organ, mean of an hour.",
            healthy="Flat at the level of the card's evaluation. A slow fall is drift: other plates, light or ages.",
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "Score of landmarks",
            Query(f"avg by (model, version) (model_version:thale_output_score:mean_1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Mean score of a plate's root bases and tips, mean of an hour.",
            healthy="Flat; versions together.",
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "Plates without a plant",
            Query(f"avg by (model, version) (model_version:thale_output_empty:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Share of plates on which no plant was found, over an hour.",
            healthy="Near zero, but for the days before germination. A jump of one version alone is that version's fault.",
            thresholds=Thresholds(warning=policy.margins.no_plants),
            width=6,
        ),
        time_series_panel(
            "Plates with an unknown trait",
            Query(f"avg by (model, version) (model_version:thale_output_nan:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Share of plates of known scale with a germinated plant of which a main trait is NaN, over an hour.",
            healthy="Low and flat. A rise means that roots are found without their bases or tips.",
            thresholds=Thresholds(warning=policy.margins.missing_traits),
            width=6,
        ),
    ]


def _drift_panels(policy: JudgePolicy) -> list[PanelBuilder]:
    psi = policy.drift.psi
    return [
        time_series_panel(
            "Population stability index",
            Query(
                f"max by (model, version, signal) (thale_drift_psi{{{VERSION}}})",
                f"{_NAME} {{{{signal}}}}",
            ),
            unit="short",
            description="PSI of each signal: how far the shares of plates by bin are from the reference in the model's card.",
            healthy=f"Below {psi / 2:g}. From {psi:g} on, plates are others than those that the model was judged on.",
            thresholds=Thresholds(warning=psi / 2, critical=psi),
            width=10,
        ),
        time_series_panel(
            "Kolmogorov-Smirnov distance",
            Query(
                f"max by (model, version, signal) (thale_drift_ks{{{VERSION}}})",
                f"{_NAME} {{{{signal}}}}",
            ),
            unit="percentunit",
            description="Largest distance between the distribution functions of now and of the card.",
            healthy="Below 10 %; it finds a shift that PSI's bins hide.",
            thresholds=Thresholds(warning=0.1, critical=0.2),
            max_value=1,
            width=8,
        ),
        time_series_panel(
            "Plates behind the figures",
            Query(f"min by (model, version) (thale_drift_plates{{{VERSION}}})", _NAME),
            unit="suffix: plates",
            description="How many recent plates the two figures rest on.",
            healthy=f"{policy.min_plates} and more. With fewer, PSI is high by chance.",
            thresholds=Thresholds(warning=policy.min_plates, lower_is_worse=True),
            width=6,
        ),
    ]


def _shadow_panels(policy: JudgePolicy) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Agreement of masks (Dice)",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            description="Mean Dice coefficient of shadow and stable version on the same plate, by organ.",
            healthy=f"{1 - policy.margins.shadow_disagreement:.0%} and more where the new version is a retraining.",
            thresholds=Thresholds(warning=round(1 - policy.margins.shadow_disagreement, 4), lower_is_worse=True),
            max_value=1,
        ),
        time_series_panel(
            "Agreement of landmarks (F1)",
            Query(
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_count{{{VERSION}}}[1h]))",
                _NAME,
            ),
            unit="percentunit",
            description="Mean F1 score of the shadow's landmarks against the stable version's.",
            healthy="90 % and more; a fall says that tips or bases are found elsewhere.",
            max_value=1,
        ),
        time_series_panel(
            "Difference of traits, 9 of 10 plates within",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, trait) "
                f"(rate(thale_shadow_trait_difference_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{trait}}}}",
            ),
            unit="percentunit",
            description="Relative difference of a plate's traits between the two versions: what a researcher would notice.",
            healthy="Below 5 %: the repeatability of measuring the same plate twice.",
            thresholds=Thresholds(warning=0.05, critical=0.2),
        ),
    ]


def _output_panels() -> list[PanelBuilder]:
    return [
        heatmap_panel(
            "Plants on a plate",
            Query(f"sum by (le) (increase(thale_output_plants_bucket{{{VERSION}}}[$__rate_interval]))", "{{le}}"),
            unit="suffix: plants",
            description="How many plates had how many plants.",
            healthy="The bands of the plates that people sow: often 5, 10 or 20.",
            width=6,
        ),
        time_series_panel(
            "Area by organ, median",
            Query(
                "histogram_quantile(0.5, sum by (le, model, version, organ) "
                f"(rate(thale_output_area_mm2_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="suffix: mm²",
            description="Median projected area of a plate's roots, shoots and seeds, where the scale is known.",
            healthy="Rises over the days of an experiment, together in all versions.",
            width=6,
        ),
        time_series_panel(
            "Landmarks on a plate, mean",
            Query(
                f"sum by (model, version, kind) (rate(thale_output_landmarks_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version, kind) (rate(thale_output_landmarks_count{{{VERSION}}}[1h]))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: landmarks",
            description="Mean number of root bases and tips on a plate.",
            healthy="As many bases as primary tips; laterals rise with age.",
            width=6,
        ),
        time_series_panel(
            "Where the scale came from",
            Query(f"sum by (source) (rate(thale_output_scale_source_total{{{VERSION}}}[1h])) * 3600", "{{source}}"),
            unit="suffix: / h",
            description="Plates by the origin of their millimetres: given, found at the plate's edge, or none.",
            healthy="Little of `none`: without a scale there are no lengths in millimetres.",
            stacked=True,
            width=6,
        ),
    ]
