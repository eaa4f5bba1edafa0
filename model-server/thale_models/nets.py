"""The nets: small enough for a laptop's processor, exact enough for a root of three pixels.

Source of the shape: Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015. The picture enters as 2 x 2 pixel blocks and
the answer leaves through a pixel shuffle (Shi et al., CVPR 2016), so that every convolution runs at half the
resolution: a quarter of the arithmetic for the same picture.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


class BlockUNet(nn.Module):
    """A U-Net over 2 x 2 pixel blocks: N3HW float in, N x outputs x H x W logits out, H and W multiples of `stride`."""

    def __init__(self, outputs: int, base: int = 24, depth: int = 4, limit: int = 128) -> None:
        super().__init__()
        widths = [min(base * 2**level, limit) for level in range(depth)]
        self.stride = 2**depth
        self.enter = _Block(12, widths[0])
        self.down = nn.ModuleList(_Block(shallow, deep) for shallow, deep in pairwise(widths))
        self.up = nn.ModuleList(_Block(deep + shallow, shallow) for shallow, deep in pairwise(widths))
        self.leave = nn.Conv2d(widths[0], 4 * outputs, 1)

    def forward(self, picture_N3HW: Tensor) -> Tensor:
        """Return logits at the picture's own resolution."""
        features = self.enter(nn.functional.pixel_unshuffle(picture_N3HW, 2))
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
    """Build a net by the name that a model card gives.

    Raises:
        ValueError: If no net has that name.
    """
    if name != "block-unet":
        raise ValueError(f"no net is called {name!r}: the nets are block-unet")
    return BlockUNet(outputs, **{key: int(value) for key, value in options.items()})
