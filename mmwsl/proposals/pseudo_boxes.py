"""Boxes for validation without boxes: proposals that a class map picks.

After "A Realistic Protocol for Evaluation of Weakly Supervised Object
Localization" (https://arxiv.org/abs/2404.10034): made once, from proposals
and a classifier that has learned image labels alone, they choose models and
thresholds of others.
"""

import json
from typing import Dict

import cv2
import numpy as np

from mmwsl.structures import Proposals
from mmwsl.utils.files import read_json, write_whole
from mmwsl.utils.masks import boxes_of_masks


def pseudo_box(proposals: Proposals, score_map: np.ndarray) -> np.ndarray:
    """Choose the box of a proposal by the map of the image's class.

    Pointing game: only boxes that hold the map's highest value count, if any
    does. Of these the one that parts the map best is taken: the difference of
    the means in it and outside, times sqrt(share (1 - share)) of the area,
    which is the root of Otsu's variance between classes. (The paper takes the
    classifier's response to each box.)

    Args:
        proposals: K masks (H, W).
        score_map: (h, w), any range.

    Returns:
        float32 (4,): x1, y1, x2, y2 in pixels of the image.
    """
    height, width = proposals.size
    plane = cv2.resize(score_map.astype(np.float64), (width, height))
    boxes = boxes_of_masks(proposals.masks[proposals.masks.any((1, 2))])
    x1, y1, x2, y2 = boxes.astype(np.int64).T
    sums = cv2.integral(plane)
    inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    area = (x2 - x1) * (y2 - y1)
    share = area / plane.size
    rest = np.maximum(plane.size - area, 1)
    gap = inside / area - (sums[-1, -1] - inside) / rest
    score = np.sqrt(share * (1 - share)) * gap
    y, x = np.unravel_index(plane.argmax(), plane.shape)
    pointed = (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)
    if pointed.any():
        score[~pointed] = -np.inf
    best: np.ndarray = boxes[score.argmax()].astype(np.float32)
    return best


def write_boxes(path: str, boxes: Dict[str, np.ndarray]) -> None:
    """Write a box (4,) of each image id as JSON."""
    plain = {name: [float(x) for x in box] for name, box in boxes.items()}
    write_whole(path, json.dumps(plain).encode())


def read_boxes(path: str) -> Dict[str, np.ndarray]:
    """Read what :func:`write_boxes` has written.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    content = read_json(path, 'file of boxes')
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{path}: is no dict of image ids and boxes')
    for name, box in content.items():
        numbers = box if isinstance(box, list) else []
        if len(numbers) != 4 or not all(
            isinstance(x, (int, float)) for x in numbers
        ):
            raise ValueError(f'{path}: {name}: is no box x1, y1, x2, y2')
    return {name: np.array([box]) for name, box in content.items()}
