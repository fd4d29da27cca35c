"""Where the objects of a toy picture are and what they look like.

An object has a small discriminative part, its head, whose colour and pattern
tell its class, and a larger body, whose shape, hue and texture all classes
share. (H, W): size of the picture.
"""

import math
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from mmwsl.datasets.toy_textures import NUM_FAMILIES

NUM_SHAPES = 3
NUM_HUES = 5

_ANGLES = np.arange(24) * (2 * math.pi / 24)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)


def _unit_shapes() -> np.ndarray:
    """Return the outlines (NUM_SHAPES, 24, 2): ellipse, box and bean."""
    ellipse = np.stack([_COS, _SIN], axis=1)
    power = (np.abs(_COS) ** 5 + np.abs(_SIN) ** 5) ** -0.2
    box = ellipse * (0.92 * power)[:, None]
    bean = ellipse * np.array([1.0, 1.0])
    bean[:, 1] += 0.35 * (bean[:, 0] ** 2 - 0.5)
    return np.stack([ellipse, box, bean])


_SHAPES = _unit_shapes()


@dataclass(frozen=True)
class ToyStyle:
    """Constants of the toy pictures; lengths are shares of the side.

    Attributes:
        class_shares: Probability of 1, 2, 3, ... classes in a picture.
        count_shares: Probability of 1, 2, 3, ... objects of a class.
        max_objects: Most objects in a picture.
        empty_prob: Probability of a picture without objects.
        body_evidence: Probability that shape, hue and texture of a body are
            the favourites of its class, each on its own; otherwise they are
            drawn without regard to the class.
        long_side: Range of a lone object's longer body axis.
        crowding: Objects shrink with their number to this negative power.
        aspect: Range of the longer axis over the shorter one.
        head_share: Range of the head's share of an object's area.
        head_angle: Range of the head's place, in radians from the tip.
        min_visible: Least share of an object that stays visible.
        min_head_visible: Least share of a head that stays visible.
        attempts: Places tried before an object is left out.
        hue_jitter: Largest change of a head's hue, as share of the circle.
    """

    class_shares: Tuple[float, ...] = (0.5, 0.32, 0.18)
    count_shares: Tuple[float, ...] = (
        0.44,
        0.22,
        0.12,
        0.08,
        0.05,
        0.04,
        0.03,
        0.02,
    )
    max_objects: int = 10
    empty_prob: float = 0.0
    body_evidence: float = 0.3
    long_side: Tuple[float, float] = (0.45, 0.72)
    crowding: float = 0.38
    aspect: Tuple[float, float] = (1.3, 2.1)
    head_share: Tuple[float, float] = (0.12, 0.18)
    head_angle: float = 0.7
    min_visible: float = 0.6
    min_head_visible: float = 0.75
    attempts: int = 16
    hue_jitter: float = 0.015


class ToyObject(NamedTuple):
    """One object: its class and the looks of its body."""

    label: int
    shape: int
    hue: int
    texture: int


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


class ToyScene(NamedTuple):
    """The objects of a picture, the lowest first.

    Attributes:
        objects (list[Placed]): n objects.
        owner (np.ndarray): uint8 (H, W), 0 background, i + 1 object i.
        part (np.ndarray): uint8 (H, W), the same for visible heads only.
    """

    objects: List[Placed]
    owner: np.ndarray
    part: np.ndarray


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
    labels = _draw_labels(rng, style, num_classes)
    scene = ToyScene(
        [],
        np.zeros((size, size), dtype=np.uint8),
        np.zeros((size, size), dtype=np.uint8),
    )
    areas: List[Tuple[int, int]] = []
    scale = max(len(labels), 1) ** -style.crowding
    for label in labels:
        item = _draw_object(rng, style, label)
        for attempt in range(style.attempts):
            # Smaller and smaller: a place is nearly always found.
            shrunk = scale * 0.96**attempt
            placed = _try_place(rng, style, scene, areas, item, shrunk)
            if placed is not None:
                _put(scene, areas, placed)
                break
    return scene


def _draw_labels(
    rng: np.random.Generator, style: ToyStyle, num_classes: int
) -> List[int]:
    """Draw the class of each object, in random order."""
    if rng.random() < style.empty_prob:
        return []
    number = 1 + _pick(rng, style.class_shares)
    classes = rng.permutation(num_classes)[:number]
    labels: List[int] = []
    for index, label in enumerate(classes.tolist()):
        # Each class that is still to come keeps room for one object.
        room = style.max_objects - len(labels) - (number - 1 - index)
        count = min(1 + _pick(rng, style.count_shares), room)
        labels += [label] * count
    order: List[int] = rng.permutation(labels).tolist()
    return order


def _pick(rng: np.random.Generator, shares: Tuple[float, ...]) -> int:
    """Draw an index with probabilities proportional to ``shares``."""
    point = rng.random() * sum(shares)
    for index, share in enumerate(shares):
        point -= share
        if point < 0:
            return index
    return len(shares) - 1


def _draw_object(
    rng: np.random.Generator, style: ToyStyle, label: int
) -> ToyObject:
    favourites = (label % NUM_SHAPES, label % NUM_HUES, label % NUM_FAMILIES)
    looks = []
    for number, favourite in zip(
        (NUM_SHAPES, NUM_HUES, NUM_FAMILIES), favourites
    ):
        drawn = int(rng.integers(number))
        loyal = rng.random() < style.body_evidence
        looks.append(favourite if loyal else drawn)
    return ToyObject(label, *looks)


def _try_place(
    rng: np.random.Generator,
    style: ToyStyle,
    scene: ToyScene,
    areas: List[Tuple[int, int]],
    item: ToyObject,
    scale: float,
) -> Optional[Placed]:
    """Draw a place and return the object if it hides too little there."""
    size = scene.owner.shape[0]
    body, head = _outlines(rng, style, item, scale * size)
    center = (0.08 + 0.84 * rng.random(2)) * size
    body, head = (np.rint(o + center).astype(np.int32) for o in (body, head))
    placed = _rasterise(item, body, head, size)
    if placed is None:
        return None
    full = cv2.contourArea(body) + 0.5 * cv2.contourArea(head)
    if (
        placed.mask.sum() < style.min_visible * full
        or placed.head.sum() < style.min_head_visible * cv2.contourArea(head)
    ):
        return None
    top, bottom, left, right = placed.box
    window = (slice(top, bottom), slice(left, right))
    hidden = np.bincount(
        scene.owner[window][placed.mask], minlength=len(areas) + 1
    )
    hidden_head = np.bincount(
        scene.part[window][placed.mask], minlength=len(areas) + 1
    )
    visible = np.bincount(scene.owner.ravel(), minlength=len(areas) + 1)
    visible_head = np.bincount(scene.part.ravel(), minlength=len(areas) + 1)
    for index, (area, head_area) in enumerate(areas, 1):
        left_over = visible[index] - hidden[index]
        left_head = visible_head[index] - hidden_head[index]
        if (
            left_over < style.min_visible * area
            or left_head < style.min_head_visible * head_area
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
    wobble = 1 + 0.07 * (
        np.cos(2 * _ANGLES + 6.28 * numbers[2])
        + np.cos(3 * _ANGLES + 6.28 * numbers[3])
        + 0.5 * np.cos(5 * _ANGLES + 6.28 * numbers[4])
    )
    body = _SHAPES[item.shape] * wobble[:, None] * (long_axis, short_axis)
    share = _between(style.head_share, numbers[5])
    # About half of the head lies on the body and half of it sticks out.
    area = share * cv2.contourArea(body.astype(np.float32))
    radius = math.sqrt(area / (1 - share / 2) / math.pi)
    tip = (2 * numbers[6] - 1) * style.head_angle
    direction = body[round(tip / (2 * math.pi) * 24) % 24]
    squash = 1 + 0.25 * (2 * numbers[7] - 1)
    head = direction * 0.93 + np.stack(
        [_COS * radius * squash, _SIN * radius / squash], axis=1
    )
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


def _put(
    scene: ToyScene, areas: List[Tuple[int, int]], placed: Placed
) -> None:
    """Lay an object on top."""
    scene.objects.append(placed)
    top, bottom, left, right = placed.box
    window = (slice(top, bottom), slice(left, right))
    number = len(scene.objects)
    scene.owner[window][placed.mask] = number
    scene.part[window][placed.mask] = 0
    scene.part[window][placed.head] = number
    areas.append((int(placed.mask.sum()), int(placed.head.sum())))
