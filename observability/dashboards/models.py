"""Do the models still see what they used to see: signs of accuracy, drift, and versions side by side.

Nobody knows the truth while thale serves. What can be seen is how sure a model is, how often it finds nothing, how far
a new version is from the old one on the same plate, and how far plates are from those of the card.
"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Column, Drawn, Limits, Query, density, figures, lines
from thale.slo import Slo

_NAME = "{{model}} {{version}}"
_BY_VERSION = "max by (model, version)"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("Versions side by side", [_side_by_side(slo)]),
        Row("How sure they are, and what they do not find", _signs(slo)),
        Row("Drift from what the card saw", _drift(slo)),
        Row("A new version on the same plates as the old one", _shadow(slo)),
        Row("What they say", _said()),
    ]
    purpose = "Signs of accuracy without a truth: confidence, gaps, drift from the card, agreement of versions."
    return board("thale-models", "Models", purpose, rows, backend, period="now-24h")


def _side_by_side(slo: Slo) -> Drawn:
    drift = slo.judge.drift.psi
    return figures(
        "Versions side by side",
        ["model", "version"],
        Column(
            "Plates",
            f"sum by (model, version) (model_version:thale_output_plates:rate1h{{{VERSION}}}) * 3600",
            "suffix: / h",
        ),
        Column("p99", f"{_BY_VERSION} (model_version:thale_model_seconds:p99_5m{{{VERSION}}})", "s"),
        Column(
            "Failing",
            f"{_BY_VERSION} (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
            "percentunit",
            Limits(look=1 - slo.availability, bad=slo.judge.margins.failing),
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
            Limits(look=drift / 2, bad=drift),
        ),
        Column("Drift (KS)", f"{_BY_VERSION} (model_version:thale_drift_ks:max{{{VERSION}}})", "percentunit"),
        unit="short",
        shows="What each version did with the plates of the last hour. Landmark models have a score for confidence.",
        good="Versions of one model resemble each other in every column; a difference is what the judge weighs.",
        width=24,
        height=6,
    )


def _signs(slo: Slo) -> list[Drawn]:
    return [
        lines(
            "Confidence by organ",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_output_confidence:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            shows="Mean confidence of what was found, by organ, mean of an hour.",
            good="Flat at the level of the card's evaluation. A slow fall is drift: other plates, light or ages.",
            top=1,
            width=6,
        ),
        lines(
            "Score of landmarks",
            Query(f"avg by (model, version) (model_version:thale_output_score:mean_1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            shows="Mean score of a plate's root bases and tips, mean of an hour.",
            good="Flat; versions together.",
            top=1,
            width=6,
        ),
        lines(
            "Plates without a plant",
            Query(f"avg by (model, version) (model_version:thale_output_empty:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            shows="Share of plates on which no plant was found, over an hour.",
            good="Near zero, but for the days before germination. A jump of one version alone is that version's fault.",
            limits=Limits(look=slo.judge.margins.empty),
            width=6,
        ),
        lines(
            "Plates with an unknown trait",
            Query(f"avg by (model, version) (model_version:thale_output_nan:ratio_rate1h{{{VERSION}}})", _NAME),
            unit="percentunit",
            shows="Share of plates of known scale with a germinated plant of which a main trait is NaN, over an hour.",
            good="Low and flat. A rise means that roots are found without their bases or tips.",
            limits=Limits(look=slo.judge.margins.unknown),
            width=6,
        ),
    ]


def _drift(slo: Slo) -> list[Drawn]:
    psi = slo.judge.drift.psi
    return [
        lines(
            "Population stability index",
            Query(
                f"max by (model, version, signal) (thale_drift_psi{{{VERSION}}})",
                f"{_NAME} {{{{signal}}}}",
            ),
            unit="short",
            shows="PSI of each signal: how far the shares of plates by bin are from the reference in the model's card.",
            good=f"Below {psi / 2:g}. From {psi:g} on, plates are others than those that the model was judged on.",
            limits=Limits(look=psi / 2, bad=psi),
            width=10,
        ),
        lines(
            "Kolmogorov-Smirnov distance",
            Query(
                f"max by (model, version, signal) (thale_drift_ks{{{VERSION}}})",
                f"{_NAME} {{{{signal}}}}",
            ),
            unit="percentunit",
            shows="Largest distance between the distribution functions of now and of the card.",
            good="Below 10 %; it finds a shift that PSI's bins hide.",
            limits=Limits(look=0.1, bad=0.2),
            top=1,
            width=8,
        ),
        lines(
            "Plates behind the figures",
            Query(f"min by (model, version) (thale_drift_plates{{{VERSION}}})", _NAME),
            unit="suffix: plates",
            shows="How many recent plates the two figures rest on.",
            good=f"{slo.judge.least_plates} and more. With fewer, PSI is high by chance.",
            limits=Limits(look=slo.judge.least_plates, downwards=True),
            width=6,
        ),
    ]


def _shadow(slo: Slo) -> list[Drawn]:
    return [
        lines(
            "Agreement of masks (Dice)",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            shows="Mean Dice coefficient of shadow and stable version on the same plate, by organ.",
            good=f"{1 - slo.judge.margins.disagreeing:.0%} and more where the new version is a retraining.",
            limits=Limits(look=round(1 - slo.judge.margins.disagreeing, 4), downwards=True),
            top=1,
        ),
        lines(
            "Agreement of landmarks (F1)",
            Query(
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version) (rate(thale_shadow_landmark_f1_count{{{VERSION}}}[1h]))",
                _NAME,
            ),
            unit="percentunit",
            shows="Mean F1 score of the shadow's landmarks against the stable version's.",
            good="90 % and more; a fall says that tips or bases are found elsewhere.",
            top=1,
        ),
        lines(
            "Difference of traits, 9 of 10 plates within",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, trait) "
                f"(rate(thale_shadow_trait_difference_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{trait}}}}",
            ),
            unit="percentunit",
            shows="Relative difference of a plate's traits between the two versions: what a researcher would notice.",
            good="Below 5 %: the repeatability of measuring the same plate twice.",
            limits=Limits(look=0.05, bad=0.2),
        ),
    ]


def _said() -> list[Drawn]:
    return [
        density(
            "Plants on a plate",
            Query(f"sum by (le) (increase(thale_output_plants_bucket{{{VERSION}}}[$__rate_interval]))", "{{le}}"),
            unit="suffix: plants",
            shows="How many plates had how many plants.",
            good="The bands of the plates that people sow: often 5, 10 or 20.",
            width=6,
        ),
        lines(
            "Area by organ, median",
            Query(
                "histogram_quantile(0.5, sum by (le, model, version, organ) "
                f"(rate(thale_output_area_mm2_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="suffix: mm²",
            shows="Median projected area of a plate's roots, shoots and seeds, where the scale is known.",
            good="Rises over the days of an experiment, together in all versions.",
            width=6,
        ),
        lines(
            "Landmarks on a plate, mean",
            Query(
                f"sum by (model, version, kind) (rate(thale_output_landmarks_sum{{{VERSION}}}[1h])) / "
                f"sum by (model, version, kind) (rate(thale_output_landmarks_count{{{VERSION}}}[1h]))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: landmarks",
            shows="Mean number of root bases and tips on a plate.",
            good="As many bases as primary tips; laterals rise with age.",
            width=6,
        ),
        lines(
            "Where the scale came from",
            Query(f"sum by (source) (rate(thale_output_scale_source_total{{{VERSION}}}[1h])) * 3600", "{{source}}"),
            unit="suffix: / h",
            shows="Plates by the origin of their millimetres: given, found at the plate's edge, or none.",
            good="Little of `none`: without a scale there are no lengths in millimetres.",
            stacked=True,
            width=6,
        ),
    ]
