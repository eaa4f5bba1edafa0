"""Evaluation of models and traits on whole plates, by the full pipeline.

ground_truth             ground truth of a plate: mask, landmarks, roots
plate_scores             prediction and score of one plate
summary                  metrics over all plates of a folder
report                   Markdown report with images
reference_distributions  quantiles of plate statistics, for the model cards
shadow_references        expected agreement of a new version with stable, for its card
"""

from thale_models.evaluation.report import metrics_table
from thale_models.evaluation.run import evaluate, write_metrics_to_cards
from thale_models.evaluation.shadow_references import write_agreement_references

__all__ = ["evaluate", "metrics_table", "write_agreement_references", "write_metrics_to_cards"]
