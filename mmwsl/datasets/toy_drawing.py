"""Draw the toy pictures: textures, objects, their places, colours.

Every picture is drawn from one random generator ``rng``, and only sums,
products and roundings of seeded numbers go into the textures, so that all
processes and platforms draw the same. An object has a small discriminative
part, its head, whose colour and pattern tell its class, and a larger body,
whose shape, hue and texture all classes share.

S: side of a texture's tile, (H, W): size of the picture.
"""

import colorsys
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

NUM_FAMILIES = 4
NUM_PATTERNS = 4
NUM_SHAPES = 3
NUM_HUES = 5
_ANGLES = np.arange(24) * (2 * math.pi / 24)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
_CIRCLE = np.stack([_COS, _SIN], axis=1)
_WAVES = np.stack([2 * _ANGLES, 3 * _ANGLES, 5 * _ANGLES])
# 70 % of a grey value; a ramp of at most 75 is added to it.
_CLOUD_TABLE = (np.arange(256) * 7 // 10).astype(np.uint8)
_RAMP = np.arange(256)[:, None] / 255
_COUNT_SHARES = (0.44, 0.22, 0.12, 0.08, 0.05, 0.04, 0.03, 0.02)
# The outlines (NUM_SHAPES, 24, 2): ellipse, box and bean.
_BOX = 0.92 * (np.abs(_COS) ** 5 + np.abs(_SIN) ** 5) ** -0.2
_BEND = np.stack([np.zeros(24), 0.35 * (_COS**2 - 0.5)], axis=1)
_SHAPES = np.stack([_CIRCLE, _CIRCLE * _BOX[:, None], _CIRCLE + _BEND])


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
    count_shares: Tuple[float, ...] = _COUNT_SHARES
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
    looks = []
    for number in (NUM_SHAPES, NUM_HUES, NUM_FAMILIES):
        drawn = int(rng.integers(number))
        loyal = rng.random() < style.body_evidence
        looks.append(label % number if loyal else drawn)
    return ToyObject(label, *looks)


class TextureBank(NamedTuple):
    """Tiles to cut from.

    Attributes:
        clouds: uint8 (6, S, S), fractal noise.
        bodies: uint8 (NUM_FAMILIES, S, S), the texture families grain,
            blotches, wood and cells.
        patterns: uint8 (NUM_PATTERNS, S, S) of 0 and 255: the bold patterns
            plain, stripes, checks and dots.
        grain: int16 (S, S, 3), sensor noise of about 5 levels.
    """

    clouds: np.ndarray
    bodies: np.ndarray
    patterns: np.ndarray
    grain: np.ndarray


@lru_cache(maxsize=2)
def texture_bank(size: int) -> TextureBank:
    """Build the bank, for pictures of at most ``size`` / 2 pixels a side."""
    rng = np.random.Generator(np.random.PCG64(20170))
    clouds = [_fractal(rng, size, 4, 5) for _ in range(6)]
    fine = _fractal(rng, size, size // 8, 2)
    smooth = _fractal(rng, size, size // 16, 2)
    warp = _fractal(rng, size, 8, 2).astype(np.float64) / 255
    ramp = np.arange(size) / size
    # Triangle waves of a warped coordinate look like wood.
    phase = (ramp[None] * (size // 8) + 3 * warp) % 1
    wood = np.abs(2 * phase - 1) * 255
    cells = np.minimum(np.abs(smooth.astype(np.int64) - 128) * 4, 255)
    blotches = np.where(smooth > 128, 200, 60) + (fine // 8)
    bodies = np.stack([fine, blotches, wood, cells]).astype(np.uint8)
    # Bold patterns have periods of 4 to 6 pixels.
    rows, columns = np.mgrid[:size, :size]
    plain = np.ones((size, size), dtype=bool)
    stripes = rows // 2 % 2 == 0
    checks = (rows // 3 + columns // 3) % 2 == 0
    dots = (rows % 5 < 2) & (columns % 5 < 2)
    patterns = np.stack([plain, stripes, checks, ~dots])
    grain = rng.integers(-8, 9, size=(size, size, 3), dtype=np.int16)
    bold = (patterns * 255).astype(np.uint8)
    return TextureBank(np.stack(clouds), bodies, bold, grain)


def _fractal(
    rng: np.random.Generator, size: int, cells: int, octaves: int
) -> np.ndarray:
    """Sum octaves of smooth noise, each half as strong: uint8 (S, S)."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        count = min(cells * 2**octave, size)
        total += _value_noise(rng, size, count) / 2**octave
    low, high = total.min(), total.max()
    return np.round((total - low) / (high - low) * 255).astype(np.uint8)


def _value_noise(
    rng: np.random.Generator, size: int, cells: int
) -> np.ndarray:
    """Interpolate a periodic grid of random numbers smoothly: (S, S)."""
    grid = rng.integers(0, 256, size=(cells, cells)).astype(np.float64)
    position = np.arange(size) * cells / size
    left = position.astype(np.int64)
    share = position - left
    share = share * share * (3 - 2 * share)
    right = (left + 1) % cells
    rows = grid[left] * (1 - share[:, None]) + grid[right] * share[:, None]
    return rows[:, left] * (1 - share) + rows[:, right] * share


class Placed(NamedTuple):
    """An object in the picture.

    ``box`` are the rows and columns y1, y2, x1, x2 of its masks, bool, of the
    whole object as if it lay on top, and of its head.
    """

    item: ToyObject
    box: Tuple[int, int, int, int]
    mask: np.ndarray
    head: np.ndarray


class ToyScene:
    """The objects of a picture of ``size`` pixels a side, the lowest first.

    ``owner`` is uint8 (H, W), 0 background, i + 1 object i; ``part`` is the
    same for visible heads only.
    """

    def __init__(self, size: int) -> None:
        self.objects: List[Placed] = []
        self.owner = np.zeros((size, size), dtype=np.uint8)
        self.part = np.zeros((size, size), dtype=np.uint8)
        # Pixels of object and head, (n, 2): all of them, and those visible.
        self._areas = np.zeros((0, 2), dtype=np.int64)
        self._visible = np.zeros((0, 2), dtype=np.int64)

    def put(self, placed: Placed, style: ToyStyle) -> bool:
        """Lay an object on top; False if it would hide too much."""
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
    """Draw objects of which enough stays visible to count them."""
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
    both = np.concatenate([body, head])
    left, top = np.maximum(both.min(axis=0), 0).tolist()
    right, bottom = np.minimum(both.max(axis=0) + 1, size).tolist()
    if right <= left or bottom <= top:
        return None
    head_mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.fillPoly(head_mask, [head - (left, top)], 1)
    mask = head_mask.copy()
    cv2.fillPoly(mask, [body - (left, top)], 1)
    head_area = cv2.contourArea(head)
    area = cv2.contourArea(body) + 0.5 * head_area
    if (
        mask.sum() < style.min_visible * area
        or head_mask.sum() < style.min_head_visible * head_area
    ):
        return None
    box = (top, bottom, left, right)
    return Placed(item, box, mask.astype(bool), head_mask.astype(bool))


def _outlines(
    rng: np.random.Generator, style: ToyStyle, item: ToyObject, unit: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the outlines of body and head, (24, 2), around the centre."""
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


def render(
    rng: np.random.Generator,
    scene: ToyScene,
    style: ToyStyle,
    num_classes: int,
) -> np.ndarray:
    """Draw a picture uint8 (H, W, 3), BGR; classes share the hues."""
    size = scene.owner.shape[0]
    bank = texture_bank(max(256, 2 * size))
    img = _background(rng, bank, size)
    for placed in scene.objects:
        _draw_object(rng, bank, style, img, placed, num_classes)
    noise = _cut(rng, bank.grain, size, size)
    return cv2.add(img, np.ascontiguousarray(noise), dtype=cv2.CV_8U)


def _background(
    rng: np.random.Generator, bank: TextureBank, size: int
) -> np.ndarray:
    """Blend noise, a light gradient and patches of a second material."""
    first, second, third = rng.integers(len(bank.clouds), size=3)
    cloud = _cut(rng, bank.clouds[first], size, size)
    where = _cut(rng, bank.clouds[second], size, size)
    light = (np.arange(size) * 76 // size).astype(np.uint8)
    value = _CLOUD_TABLE[cloud] + light[:, None]
    img = _table(_dull_colors(rng, 3))[value]
    other = _cut(rng, bank.clouds[third], size, size)
    patches = where > int(rng.integers(110, 190))
    table = _table(_dull_colors(rng, 2))
    img[patches] = table[other[patches]]
    return img


def _draw_object(
    rng: np.random.Generator,
    bank: TextureBank,
    style: ToyStyle,
    img: np.ndarray,
    placed: Placed,
    num_classes: int,
) -> None:
    """Paint the body and the head over it."""
    item, (top, bottom, left, right) = placed.item, placed.box
    part, shape = img[top:bottom, left:right], placed.mask.shape
    value = _cut(rng, bank.bodies[item.texture], *shape)
    numbers = rng.random(4)
    hue = (item.hue + 0.6 * (numbers[0] - 0.5)) / NUM_HUES
    saturation = 0.2 + 0.3 * numbers[1]
    light = 0.45 + 0.45 * numbers[2]
    dark = light * (1 - (0.35 + 0.4 * numbers[3]))
    colors = [_bgr(hue, saturation, x) for x in (dark, light)]
    part[placed.mask] = _table(np.array(colors))[value[placed.mask]]
    value = _cut(rng, bank.patterns[item.label % NUM_PATTERNS], *shape)
    numbers = rng.random(3)
    hue = item.label / num_classes + style.hue_jitter * (2 * numbers[0] - 1)
    strong = _bgr(hue, 0.8 + 0.2 * numbers[1], 0.75 + 0.25 * numbers[2])
    # Every other class pairs its colour with black instead of white.
    weak = (20.0, 20.0, 20.0) if item.label % 2 else (235.0, 235.0, 235.0)
    table = _table(np.array([weak, strong]))
    part[placed.head] = table[value[placed.head]]


def _cut(
    rng: np.random.Generator, tile: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Cut a random window, randomly mirrored, out of a tile."""
    row, column, mirror = rng.integers(
        (tile.shape[0] - height + 1, tile.shape[1] - width + 1, 4)
    ).tolist()
    window = tile[row : row + height, column : column + width]
    if mirror & 1:
        window = window[:, ::-1]
    if mirror & 2:
        window = window[::-1]
    return window


def _table(colors: np.ndarray) -> np.ndarray:
    """Interpolate colours (k, 3) over the grey values: uint8 (256, 3)."""
    if len(colors) > 2:
        half = _table(colors[:2])[::2], _table(colors[1:])[::2]
        return np.concatenate(half)
    mixed = colors[0] + _RAMP * (colors[1] - colors[0])
    return (mixed + 0.5).astype(np.uint8)


def _dull_colors(rng: np.random.Generator, number: int) -> np.ndarray:
    """Draw colours (number, 3) of low saturation."""
    draws = rng.random((number, 3)).tolist()
    return np.array(
        [
            _bgr(hue, 0.05 + 0.25 * grey, 0.25 + 0.65 * light)
            for hue, grey, light in draws
        ]
    )


def _bgr(hue: float, saturation: float, value: float) -> Tuple[float, ...]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return 255 * blue, 255 * green, 255 * red
