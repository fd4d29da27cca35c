"""Where the objects of a toy picture are and what they look like.

An object has a small discriminative part, its head, whose colour and pattern
tell its class, and a larger body, whose shape, hue and texture all classes
share. (H, W): size of the picture.
"""

import math
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from mmwsl.datasets.toy_style import (
    ToyObject,
    ToyStyle,
    draw_labels,
    draw_object,
)

_ANGLES = np.arange(24) * (2 * math.pi / 24)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
_CIRCLE = np.stack([_COS, _SIN], axis=1)
_WAVES = np.stack([2 * _ANGLES, 3 * _ANGLES, 5 * _ANGLES])


def _unit_shapes() -> np.ndarray:
    """Return the outlines (NUM_SHAPES, 24, 2): ellipse, box and bean."""
    power = (np.abs(_COS) ** 5 + np.abs(_SIN) ** 5) ** -0.2
    box = _CIRCLE * (0.92 * power)[:, None]
    bean = _CIRCLE.copy()
    bean[:, 1] += 0.35 * (bean[:, 0] ** 2 - 0.5)
    return np.stack([_CIRCLE, box, bean])


_SHAPES = _unit_shapes()


class Placed(NamedTuple):
    """An object in the picture.

    Attributes:
        item (ToyObject): What it is.
        box (tuple[int]): Rows and columns y1, y2, x1, x2 of its masks.
        mask (np.ndarray): bool, the whole object as if it lay on top.
        head (np.ndarray): bool, its head.
    """

    item: ToyObject
    box: Tuple[int, int, int, int]
    mask: np.ndarray
    head: np.ndarray


class ToyScene:
    """The objects of a picture, the lowest first.

    Args:
        size (int): H = W, in pixels.

    Attributes:
        objects (list[Placed]): n objects.
        owner (np.ndarray): uint8 (H, W), 0 background, i + 1 object i.
        part (np.ndarray): uint8 (H, W), the same for visible heads only.
    """

    def __init__(self, size: int) -> None:
        self.objects: List[Placed] = []
        self.owner = np.zeros((size, size), dtype=np.uint8)
        self.part = np.zeros((size, size), dtype=np.uint8)
        # Pixels of object and head, (n, 2): all of them, and those visible.
        self._areas = np.zeros((0, 2), dtype=np.int64)
        self._visible = np.zeros((0, 2), dtype=np.int64)

    def put(self, placed: Placed, style: ToyStyle) -> bool:
        """Lay an object on top, unless it hides too much of another one.

        Args:
            placed (Placed): The object.
            style (ToyStyle): How much of an object must stay visible.

        Returns:
            bool: Whether it was laid there.
        """
        top, bottom, left, right = placed.box
        owner = self.owner[top:bottom, left:right]
        part = self.part[top:bottom, left:right]
        length = len(self.objects) + 1
        hidden = np.stack(
            [
                np.bincount(plane[placed.mask], minlength=length)[1:]
                for plane in (owner, part)
            ],
            axis=1,
        )
        visible = self._visible - hidden
        limits = (style.min_visible, style.min_head_visible)
        if (visible < self._areas * limits).any():
            return False
        self.objects.append(placed)
        owner[placed.mask] = length
        part[placed.mask] = 0
        part[placed.head] = length
        area = np.array([[placed.mask.sum(), placed.head.sum()]])
        self._areas = np.concatenate([self._areas, area])
        self._visible = np.concatenate([visible, area])
        return True


def draw_scene(
    rng: np.random.Generator, style: ToyStyle, num_classes: int, size: int
) -> ToyScene:
    """Draw what a picture shows.

    Args:
        rng (np.random.Generator): The source of chance.
        style (ToyStyle): The constants.
        num_classes (int): Number of classes.
        size (int): H = W, in pixels.

    Returns:
        ToyScene: Objects of which enough is visible to count them.
    """
    labels = draw_labels(rng, style, num_classes)
    scene = ToyScene(size)
    scale = size * max(len(labels), 1) ** -style.crowding
    for label in labels:
        item = draw_object(rng, style, label)
        for attempt in range(style.attempts):
            # Smaller and smaller: a place is nearly always found.
            unit = scale * 0.96**attempt
            placed = _try_place(rng, style, item, unit, size)
            if placed is not None and scene.put(placed, style):
                break
    return scene


def _try_place(
    rng: np.random.Generator,
    style: ToyStyle,
    item: ToyObject,
    unit: float,
    size: int,
) -> Optional[Placed]:
    """Draw a place; None if too little of the object is in the picture."""
    body, head = _outlines(rng, style, item, unit)
    center = (0.08 + 0.84 * rng.random(2)) * size
    body = np.rint(body + center).astype(np.int32)
    head = np.rint(head + center).astype(np.int32)
    placed = _rasterise(item, body, head, size)
    if placed is None:
        return None
    head_area = cv2.contourArea(head)
    area = cv2.contourArea(body) + 0.5 * head_area
    if (
        placed.mask.sum() < style.min_visible * area
        or placed.head.sum() < style.min_head_visible * head_area
    ):
        return None
    return placed


def _outlines(
    rng: np.random.Generator, style: ToyStyle, item: ToyObject, unit: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the outlines of body (24, 2) and head (24, 2), x and y.

    They are in pixels around the object's centre; ``unit`` pixels is 1.
    """
    numbers = rng.random(10)
    long_axis = _between(style.long_side, numbers[0]) * unit / 2
    short_axis = long_axis / _between(style.aspect, numbers[1])
    # Three slow waves make every outline its own.
    waves = np.cos(_WAVES + 2 * math.pi * numbers[2:5, None])
    wobble = 1 + 0.07 * waves[0] + 0.07 * waves[1] + 0.035 * waves[2]
    body = _SHAPES[item.shape] * wobble[:, None] * (long_axis, short_axis)
    share = _between(style.head_share, numbers[5])
    # About half of the head lies on the body and half of it sticks out.
    area = share * cv2.contourArea(body.astype(np.float32))
    radius = math.sqrt(area / (1 - share / 2) / math.pi)
    tip = (2 * numbers[6] - 1) * style.head_angle
    direction = body[round(tip / (2 * math.pi) * 24) % 24]
    squash = 1 + 0.25 * (2 * numbers[7] - 1)
    head = direction * 0.93 + _CIRCLE * (radius * squash, radius / squash)
    turn = 2 * math.pi * numbers[8]
    cos, sin = math.cos(turn), math.sin(turn)
    rotation = np.array([[cos, sin], [-sin, cos]])
    return body @ rotation, head @ rotation


def _between(limits: Tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def _rasterise(
    item: ToyObject, body: np.ndarray, head: np.ndarray, size: int
) -> Optional[Placed]:
    """Fill the outlines inside the picture; None if they are outside."""
    both = np.concatenate([body, head])
    left, top = np.maximum(both.min(axis=0), 0).tolist()
    right, bottom = np.minimum(both.max(axis=0) + 1, size).tolist()
    if right <= left or bottom <= top:
        return None
    head_mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.fillPoly(head_mask, [head - (left, top)], 1)
    mask = head_mask.copy()
    cv2.fillPoly(mask, [body - (left, top)], 1)
    return Placed(
        item,
        (top, bottom, left, right),
        mask.astype(bool),
        head_mask.astype(bool),
    )
