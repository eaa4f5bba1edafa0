"""What training makes small: one loss for masks, one for heatmaps."""

import torch
from torch import Tensor, nn

IGNORED = 255
"""Class index of pixels that have no label: outside the picture."""


def segmentation_loss(logits_NCHW: Tensor, classes_NHW: Tensor, class_weights: Tensor) -> Tensor:
    """Return weighted cross entropy plus soft Dice of the foreground classes.

    Cross entropy keeps the probabilities honest; Dice keeps a root of three pixels from drowning in background
    (Milletari, Navab and Ahmadi, "V-Net", 3DV 2016). Dice is taken over the batch, of classes that occur in it.
    """
    logits = logits_NCHW.float()
    entropy = nn.functional.cross_entropy(logits, classes_NHW, class_weights, ignore_index=IGNORED)
    labelled_N1HW = (classes_NHW != IGNORED)[:, None]
    truth = nn.functional.one_hot(classes_NHW.where(labelled_N1HW[:, 0], 0), logits.shape[1])
    truth_NCHW = truth.permute(0, 3, 1, 2) * labelled_N1HW
    probability_NCHW = logits.softmax(1) * labelled_N1HW
    shared = (truth_NCHW * probability_NCHW).sum((0, 2, 3))[1:]
    total = (truth_NCHW.sum((0, 2, 3)) + probability_NCHW.sum((0, 2, 3)))[1:]
    present = truth_NCHW.sum((0, 2, 3))[1:] > 0
    dice = (2 * shared + 1) / (total + 1)
    return entropy + ((1 - dice) * present).sum() / present.sum().clamp(min=1)


def heatmap_loss(logits_NCHW: Tensor, targets_NCHW: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heatmaps with Gaussian targets.

    Law and Deng, "CornerNet", ECCV 2018, with its alpha 2 and beta 4: a target's very pixel (1.0) pulls up, all others
    pull down, the less so the nearer they are to a target. Pixels outside the picture carry NaN and do not count.
    """
    logits = logits_NCHW.float()
    labelled = ~targets_NCHW.isnan()
    targets = targets_NCHW.nan_to_num()
    peak = targets == 1.0
    probability = logits.sigmoid()
    up = (1 - probability) ** 2 * nn.functional.logsigmoid(logits)
    down = (1 - targets) ** 4 * probability**2 * nn.functional.logsigmoid(-logits)
    return -torch.where(peak, up, down * labelled).sum() / peak.sum().clamp(min=1)
