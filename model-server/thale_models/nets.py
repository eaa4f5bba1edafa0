"""Network architectures: fast enough for a laptop's CPU, precise enough for roots of three pixels.

Source of the architecture: Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015. The input passes a pixel unshuffle into
2 x 2 pixel blocks, and the output passes a pixel shuffle (Shi et al., CVPR 2016). Every convolution therefore runs at
half the resolution, with a quarter of the arithmetic (docs/adr/0028-networks-on-2x2-pixel-blocks.md).
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


class BlockUNet(nn.Module):
    """U-Net over 2 x 2 pixel blocks: N3HW float to N x outputs x H x W logits. H and W are multiples of `stride`."""

    def __init__(self, outputs: int, base: int = 24, depth: int = 4, limit: int = 128) -> None:
        super().__init__()
        widths = [min(base * 2**level, limit) for level in range(depth)]
        self.stride = 2**depth
        self.enter = _Block(12, widths[0])
        self.down = nn.ModuleList(_Block(shallow, deep) for shallow, deep in pairwise(widths))
        self.up = nn.ModuleList(_Block(deep + shallow, shallow) for shallow, deep in pairwise(widths))
        self.leave = nn.Conv2d(widths[0], 4 * outputs, 1)

    def forward(self, image_N3HW: Tensor) -> Tensor:
        """Return logits at the resolution of the image."""
        features = self.enter(nn.functional.pixel_unshuffle(image_N3HW, 2))
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(nn.functional.max_pool2d(features, 2))
        for block, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([features, skip], dim=1))
        return nn.functional.pixel_shuffle(cast(Tensor, self.leave(features)), 2)


class _Block(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for source in (inputs, outputs):
            layers += [nn.Conv2d(source, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
        super().__init__(*layers)


def build_net(name: str, outputs: int, options: dict[str, int | float | str]) -> BlockUNet:
    """Build the network that a model card names.

    Raises:
        ValueError: If no network has that name.
    """
    if name != "block-unet":
        raise ValueError(f"unknown network {name!r}; available: block-unet")
    return BlockUNet(outputs, **{key: int(value) for key, value in options.items()})
