"""Training losses: one for masks, one for heatmaps."""

import torch
from torch import Tensor, nn

IGNORE_INDEX = 255
"""Class index of pixels without a label, outside the image."""


def segmentation_loss(logits_NCHW: Tensor, classes_NHW: Tensor, class_weights: Tensor) -> Tensor:
    """Return weighted cross entropy plus soft Dice of the foreground classes.

    Cross entropy calibrates the probabilities. Dice counters the class imbalance between thin roots and background
    (Milletari, Navab and Ahmadi, "V-Net", 3DV 2016). Dice is computed over the batch, for classes that occur in it.
    """
    log_probability_NCHW = logits_NCHW.float().log_softmax(1)
    cross_entropy = nn.functional.nll_loss(log_probability_NCHW, classes_NHW, class_weights, ignore_index=IGNORE_INDEX)
    labelled_NHW = classes_NHW != IGNORE_INDEX
    probability_NCHW = log_probability_NCHW.exp()
    losses = [
        _dice_loss(probability_NCHW[:, index] * labelled_NHW, classes_NHW == index)
        for index in range(1, logits_NCHW.shape[1])
    ]
    present = torch.stack([loss.isfinite() for loss in losses])
    return cross_entropy + torch.stack(losses).where(present, 0.0).sum() / present.sum().clamp(min=1)


def _dice_loss(probability_NHW: Tensor, truth_NHW: Tensor) -> Tensor:
    """Return 1 - Dice of one class, or infinity if it does not occur."""
    true = truth_NHW.sum()
    dice = (2 * (probability_NHW * truth_NHW).sum() + 1) / (probability_NHW.sum() + true + 1)
    return torch.where(true > 0, 1 - dice, torch.inf)


def heatmap_loss(logits_NCHW: Tensor, targets_NCHW: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heatmaps with Gaussian targets, per landmark.

    Source: Law and Deng, "CornerNet", ECCV 2018, with alpha 2 and beta 4. The pixel of a target (1.0) is a positive.
    All other pixels are negatives, with a weight that decreases towards a target. Pixels outside the image are NaN and
    do not count.
    """
    log_probability = nn.functional.logsigmoid(logits_NCHW.float())
    log_complement = log_probability - logits_NCHW.float()
    is_peak = targets_NCHW == 1.0
    negative_loss = (1 - targets_NCHW.nan_to_num(1.0)) ** 4 * log_probability.mul(2).exp() * log_complement
    positive_loss = log_complement[is_peak].mul(2).exp() * log_probability[is_peak]
    return -(negative_loss.sum() + positive_loss.sum()) / is_peak.sum().clamp(min=1)
