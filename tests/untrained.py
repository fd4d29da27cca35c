"""Models that nothing has trained and that predict something; a picture."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch


def spread_head(model: Any) -> None:
    """Let a classifier's class maps differ, drawn from torch's seed."""
    with torch.no_grad():
        for name, value in model.head.named_parameters():
            if name.endswith('weight') and value.ndim == 4:
                value.normal_(std=0.3)


def favour_fifth_class(model: Any) -> None:
    """Let a PSL segmentor give every pixel to its fifth class, toy's emu."""
    with torch.no_grad():
        for name, value in model.decode_head.named_parameters():
            if name.endswith('conv_seg.bias') or 'branches' in name:
                value.zero_()
                if value.ndim == 1:
                    value[5] = 9
    model.decode_head.weighted_test = False


def write_noise(path: Path) -> Path:
    """Write a picture of smooth noise, 80 pixels wide and 64 high."""
    noise = np.random.default_rng(3).integers(0, 256, (8, 10, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (80, 64)))
    return path
