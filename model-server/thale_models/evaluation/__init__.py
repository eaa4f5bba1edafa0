"""How good the models and the measuring are, on whole plates, from photograph to traits.

truth      what is known of a plate: mask, landmarks, roots
plate      one plate, measured as a user would have it measured, against its truth
summary    all plates of a folder: the figures
pictures   the report that a person reads
references what models say of whole plates, for their cards
agreement  how far a new version may be from the stable one, for its card
"""

from thale_models.evaluation.report import metrics_table
from thale_models.evaluation.run import evaluate, write_metrics_to_cards
from thale_models.evaluation.shadow_references import write_agreement_references

__all__ = ["evaluate", "metrics_table", "write_agreement_references", "write_metrics_to_cards"]
