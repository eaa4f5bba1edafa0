"""Models dashboard: proxies of accuracy, drift, and a comparison of versions.

Serving has no ground truth. The panels show the confidence of a model and the share of plates without a plant. They
also show the agreement of two versions on the same plate, and the drift of plate statistics from the references of the
card.
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
        PanelRow("Comparison of versions", [_version_table(slo, policy)]),
        PanelRow("Confidence and missing outputs", _confidence_panels(policy)),
        PanelRow("Drift from the reference distributions", _drift_panels(policy)),
        PanelRow("Agreement of shadow and stable on the same plates", _shadow_panels(policy)),
        PanelRow("Output distributions", _output_panels()),
    ]
    description = "Proxies of accuracy without ground truth: confidence, missing outputs, drift, agreement of versions."
    return build_dashboard("thale-models", "Models", description, rows, backend, period="now-24h")


def _version_table(slo: Slo, policy: JudgePolicy) -> PanelBuilder:
    drift = policy.drift.psi
    return table_panel(
        "Comparison of versions",
        ["model", "version"],
        Column(
            "Plates",
            f"sum by (model, version) (model_version:thale_output_plates:rate1h{{{VERSION}}}) * 3600",
            "suffix: / h",
        ),
        Column("p99", f"{_BY_VERSION} (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})", "s"),
        Column(
            "Error ratio",
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
            "No plants",
            f"{_BY_VERSION} (model_version:thale_output_empty:ratio_rate1h{{{VERSION}}})",
            "percentunit",
        ),
        Column(
            "Missing traits",
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
        description="Traffic, errors, confidence and drift of each version over the last hour. For landmark models, "
        "the confidence is the mean score.",
        healthy="Versions of one model are similar in every column. The judge evaluates the differences.",
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
            description="Mean confidence of detected organs over one hour, by organ.",
            healthy="Flat at the level of the card's evaluation. A slow decrease is drift: other plates, light or "
            "ages.",
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "Landmark score",
            Query(f"avg by (model, version) (model_version:thale_output_score:mean_1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Mean score of a plate's root bases and tips over one hour.",
            healthy="Flat, and equal for all versions.",
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "Plates without plants",
            Query(f"avg by (model, version) (model_version:thale_output_empty:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Share of plates without a detected plant over one hour.",
            healthy="Near zero, except before germination. A jump of a single version is a regression of that version.",
            thresholds=Thresholds(warning=policy.margins.no_plants),
            width=6,
        ),
        time_series_panel(
            "Plates with missing traits",
            Query(f"avg by (model, version) (model_version:thale_output_nan:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Share of plates with a known scale and a germinated plant whose main trait is NaN, over one "
            "hour.",
            healthy="Low and flat. An increase means that roots are detected without their bases or tips.",
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
            description="PSI of each plate statistic: divergence from the card's reference distribution.",
            healthy=f"Below {psi / 2:g}. At {psi:g} and above, plates differ from those of the model's evaluation.",
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
            description="Maximum distance of the current distribution function from the reference in the card.",
            healthy="Below 10 %. It detects shifts inside PSI's bins.",
            thresholds=Thresholds(warning=0.1, critical=0.2),
            max_value=1,
            width=8,
        ),
        time_series_panel(
            "Sample size",
            Query(f"min by (model, version) (thale_drift_plates{{{VERSION}}})", _NAME),
            unit="suffix: plates",
            description="Number of recent plates from which PSI and KS are computed.",
            healthy=f"At least {policy.min_plates}. With fewer plates, PSI is high by chance.",
            thresholds=Thresholds(warning=policy.min_plates, lower_is_worse=True),
            width=6,
        ),
    ]


def _shadow_panels(policy: JudgePolicy) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Mask agreement (Dice)",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            description="Mean Dice coefficient of shadow and stable on the same plate, by organ.",
            healthy=f"At least {1 - policy.margins.shadow_disagreement:.0%} if the new version is a retraining.",
            thresholds=Thresholds(warning=round(1 - policy.margins.shadow_disagreement, 4), lower_is_worse=True),
            max_value=1,
        ),
        time_series_panel(
            "Landmark agreement (F1)",
            Query(
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_count{{{VERSION}}}[1h]))",
                _NAME,
            ),
            unit="percentunit",
            description="Mean F1 score of the shadow's landmarks against those of stable.",
            healthy="At least 90 %. A decrease means that tips or bases are detected at other positions.",
            max_value=1,
        ),
        time_series_panel(
            "Trait difference, p90",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, trait) "
                f"(rate(thale_shadow_trait_difference_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{trait}}}}",
            ),
            unit="percentunit",
            description="Relative difference of a plate's traits between shadow and stable, 90th percentile.",
            healthy="Below 5 %, the repeatability of two measurements of one plate.",
            thresholds=Thresholds(warning=0.05, critical=0.2),
        ),
    ]


def _output_panels() -> list[PanelBuilder]:
    return [
        heatmap_panel(
            "Plants per plate",
            Query(f"sum by (le) (increase(thale_output_plants_bucket{{{VERSION}}}[$__rate_interval]))", "{{le}}"),
            unit="suffix: plants",
            description="Distribution of the number of plants per plate.",
            healthy="Bands at the usual sowing densities, often 5, 10 or 20.",
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
            description="Median projected area of a plate's roots, shoots and seeds, if the scale is known.",
            healthy="Increases over the days of an experiment, equally in all versions.",
            width=6,
        ),
        time_series_panel(
            "Landmarks per plate, mean",
            Query(
                f"sum by (model, version, kind) (rate(thale_output_landmarks_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version, kind) (rate(thale_output_landmarks_count{{{VERSION}}}[1h]))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: landmarks",
            description="Mean number of root bases and tips per plate.",
            healthy="As many bases as primary tips. The number of lateral tips increases with age.",
            width=6,
        ),
        time_series_panel(
            "Source of the scale",
            Query(f"sum by (source) (rate(thale_output_scale_source_total{{{VERSION}}}[1h])) * 3600", "{{source}}"),
            unit="suffix: / h",
            description="Plates by the source of their scale: given in the request, detected from the plate's edge, "
            "or none.",
            healthy="A small share of `none`. Without a scale, there are no lengths in millimetres.",
            stacked=True,
            width=6,
        ),
    ]
