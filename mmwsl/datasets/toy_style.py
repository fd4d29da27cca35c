"""Constants of the toy pictures, and which objects a picture shows."""

from dataclasses import dataclass
from typing import List, NamedTuple, Tuple

import numpy as np

from mmwsl.datasets.toy_textures import NUM_FAMILIES

NUM_SHAPES = 3
NUM_HUES = 5


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


def draw_labels(
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


def draw_object(
    rng: np.random.Generator, style: ToyStyle, label: int
) -> ToyObject:
    """Draw the looks of an object of a class."""
    favourites = (label % NUM_SHAPES, label % NUM_HUES, label % NUM_FAMILIES)
    looks = []
    for number, favourite in zip(
        (NUM_SHAPES, NUM_HUES, NUM_FAMILIES), favourites
    ):
        drawn = int(rng.integers(number))
        loyal = rng.random() < style.body_evidence
        looks.append(favourite if loyal else drawn)
    return ToyObject(label, *looks)
