"""Tests of the losses: order of good and bad predictions, unlabelled pixels, gradients."""

import torch

from thale_models.losses import IGNORE_INDEX, heatmap_loss, segmentation_loss

WEIGHTS = torch.tensor([1.0, 2.0, 1.0])


def logits_for(classes_NHW: torch.Tensor, confidence: float = 8.0) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes_NHW, 3).permute(0, 3, 1, 2) * confidence


def test_segmentation_loss_is_low_only_for_the_true_mask() -> None:
    truth = torch.zeros(1, 20, 20, dtype=torch.int64)
    truth[0, 5:9] = 1
    right = segmentation_loss(logits_for(truth), truth, WEIGHTS)
    empty = segmentation_loss(logits_for(torch.zeros_like(truth)), truth, WEIGHTS)
    assert right < 0.02
    assert empty > 1.0


def test_segmentation_loss_ignores_absent_classes() -> None:
    truth = torch.zeros(1, 20, 20, dtype=torch.int64)
    assert segmentation_loss(logits_for(truth), truth, WEIGHTS) < 0.02


def test_losses_ignore_unlabelled_pixels() -> None:
    truth = torch.zeros(1, 20, 20, dtype=torch.int64)
    truth[0, 5:9] = 1
    padded = truth.clone()
    padded[:, :, 10:] = IGNORE_INDEX
    random_outside = logits_for(truth)
    random_outside[..., 10:] = torch.randn(1, 3, 20, 10) * 9
    assert torch.isclose(
        segmentation_loss(random_outside, padded, WEIGHTS),
        segmentation_loss(logits_for(truth)[..., :10], truth[..., :10], WEIGHTS),
        atol=1e-5,
    )
    heat = torch.zeros(1, 1, 20, 20)
    heat[0, 0, 5, 5] = 1.0
    unlabelled = heat.clone()
    unlabelled[..., 10:] = torch.nan
    logits = torch.randn(1, 1, 20, 20)
    assert torch.isclose(heatmap_loss(logits, unlabelled), heatmap_loss(logits[..., :10], heat[..., :10]))


def test_heatmap_loss_is_lowest_for_the_true_peak() -> None:
    target = torch.zeros(1, 1, 20, 20)
    target[0, 0, 10, 10] = 1.0
    flat = torch.full((1, 1, 20, 20), -5.0)
    hit, miss = flat.clone(), flat.clone()
    hit[0, 0, 10, 10] = miss[0, 0, 3, 3] = 5.0
    assert heatmap_loss(hit, target) < heatmap_loss(flat, target) < heatmap_loss(miss, target)


def test_loss_gradients_are_finite_for_extreme_logits() -> None:
    logits = torch.tensor([-1e4, 1e4, 0.0, 50.0]).reshape(1, 1, 2, 2).requires_grad_()
    heatmap_loss(logits, torch.tensor([1.0, 0.0, 0.5, torch.nan]).reshape(1, 1, 2, 2)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    logits = (torch.randn(1, 3, 4, 4) * 1e4).requires_grad_()
    segmentation_loss(logits, torch.full((1, 4, 4), IGNORE_INDEX), WEIGHTS).backward()
    assert logits.grad is not None
