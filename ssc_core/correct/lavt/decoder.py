"""LAVT's decoder: from the coarsest stage up, upsample, concatenate, two convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Decoder(nn.Module):
    """Four feature maps to two classes at the resolution of the finest.

    ``width``: inner channels; None is half those of the last stage, as published. Its 3 x 3 convolutions are most of a
    small network's work. Layers are numbered by the stage that they start from, as in the published files.
    """

    def __init__(self, channels: Sequence[int], width: int | None = None) -> None:
        super().__init__()
        self.width = width = channels[3] // 2 if width is None else width
        self.conv1_4, self.bn1_4 = _conv(channels[3] + channels[2], width), nn.BatchNorm2d(width)
        self.conv2_4, self.bn2_4 = _conv(width, width), nn.BatchNorm2d(width)
        self.conv1_3, self.bn1_3 = _conv(width + channels[1], width), nn.BatchNorm2d(width)
        self.conv2_3, self.bn2_3 = _conv(width, width), nn.BatchNorm2d(width)
        self.conv1_2, self.bn1_2 = _conv(width + channels[0], width), nn.BatchNorm2d(width)
        self.conv2_2, self.bn2_2 = _conv(width, width), nn.BatchNorm2d(width)
        self.conv1_1 = nn.Conv2d(width, 2, kernel_size=1)
        # The maps arrive channels-last; weights in the same format spare a conversion per call on a GPU.
        self.to(memory_format=torch.channels_last)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Stage outputs (B, C_i, H_i, W_i), finest first, to logits (B, 2, H_0, W_0)."""
        x = stages[3]
        for stage, skip in ((4, stages[2]), (3, stages[1]), (2, stages[0])):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            x = torch.cat((x, skip), dim=1)
            for layer in (1, 2):
                x = self.get_submodule(f"conv{layer}_{stage}")(x)
                x = F.relu(self.get_submodule(f"bn{layer}_{stage}")(x), inplace=True)
        return self.conv1_1(x)


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
