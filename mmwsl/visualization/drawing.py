"""Draw on images.

Images and pictures are (H, W, 3) uint8, RGB; what is laid over one is
resized to it. The drawing functions return a copy unless they say otherwise.
"""

import os
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.utils import draw_bounding_boxes, make_grid

from mmwsl.utils.arrays import resize
from mmwsl.utils.files import write_whole
from mmwsl.utils.images import voc_color_map

Color = Tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
# Captions of what contradicts the ground truth.
WRONG: Color = (200, 0, 0)
# True boxes and masks; magenta is not in the heat maps.
TRUTH: Color = (255, 60, 255)
# What VOC's development kit shows for pixels that are not scored.
IGNORE_COLOR = (224, 224, 192)
_VOC_COLORS = np.array(voc_color_map()[1:], np.uint8)
# The colours of classes do not serve: instances of one class differ. The
# farthest apart come first.
_INSTANCE_COLORS = np.frombuffer(
    bytes.fromhex(
        'eb1e3c 3cc85a ffe119 5096ff ff8214 a03ce6 46f0f0 ff3caa fabed4 006e6e'
        'bef53c dcbeff 8c5014 fffac8 781428 aaffc3 828200 ffc896 2828aa a0a0a0'
    ),
    np.uint8,
).reshape(-1, 3)
# Far apart for colour-blind eyes too.
_SUBSETS = {
    'universum': (70, 110, 220),
    'fake source': (255, 200, 30),
    'target': (230, 50, 60),
}
_NO_BOXES = np.zeros((0, 4))
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Tile(NamedTuple):
    """An image with its caption, which keeps its start or its end."""

    image: np.ndarray
    text: str
    color: Color = BLACK
    keep_end: bool = False


def class_colors(
    palette: Optional[Sequence[Sequence[int]]] = None, count: int = 255
) -> np.ndarray:
    """List colours of foreground classes, (n, 3) uint8, n >= ``count``.

    After those of the palette come VOC's 255, repeated.
    """
    given = np.array(palette or [], np.uint8).reshape(-1, 3)
    index = np.arange(len(given), max(count, len(given)))
    return np.concatenate([given, _VOC_COLORS[index % len(_VOC_COLORS)]])


def instance_colors(count: int) -> np.ndarray:
    """List colours of instances, (count, 3); twenty, then repeated."""
    return _INSTANCE_COLORS[np.arange(count) % len(_INSTANCE_COLORS)]


def display_size(
    height: int, width: int, shortest: int = 224, longest: int = 400
) -> Tuple[int, int]:
    """Choose the size at which an image is shown, its proportions kept.

    The shorter side is brought to at least ``shortest``, but the longer one
    to at most ``longest``, which goes first; each is at least 1.
    """
    scale = max(1.0, shortest / min(height, width))
    scale = min(scale, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _nearest(labels: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Resize a map (h, w) of labels without mixing them."""
    values = labels.astype(np.int32)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST)


def letterbox(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fit an image into the middle of a white field."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(ImageOps.pad(picture, (width, height), color='white'))


def draw_text(
    image: np.ndarray,
    text: str,
    place: Tuple[float, float],
    color: Sequence[int] = WHITE,
) -> None:
    """Write on a patch of colour into a contiguous image, in place.

    The patch's upper left corner x, y is moved so that it is inside.
    """
    # Smaller in small pictures, but readable.
    scale = float(np.clip(max(image.shape[:2]) / 1000, 0.33, 0.42))
    text = _shorten(text, image.shape[1] - 4, scale)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    right, bottom = width + 4, height + below + 2
    x = max(0, min(round(place[0]), image.shape[1] - right))
    y = max(0, min(round(place[1]), image.shape[0] - bottom))
    image[y : y + bottom, x : x + right] = color
    base = (x + 2, y + height + 1)
    cv2.putText(image, text, base, _FONT, scale, _ink(color), 1, cv2.LINE_AA)


def caption(
    image: np.ndarray,
    text: str,
    color: Color = BLACK,
    background: Color = WHITE,
    keep_end: bool = False,
) -> np.ndarray:
    """Put a bar with a line of text above an image.

    Text that must be cut keeps its start or its end.
    """
    bar = np.full((23, image.shape[1], 3), background, np.uint8)
    text = _shorten(text, image.shape[1] - 6, 0.5, keep_end)
    cv2.putText(bar, text, (3, 16), _FONT, 0.5, color, 1, cv2.LINE_AA)
    return np.concatenate([bar, image])


def _ink(background: Sequence[int]) -> Color:
    """Black or white, whichever is easier to read."""
    # Weights of the channels in perceived brightness, ITU-R BT.601.
    light = float(np.dot(background, (0.299, 0.587, 0.114))) > 140
    return BLACK if light else WHITE


def _shorten(text: str, width: int, scale: float, end: bool = False) -> str:
    """Cut a text to a width in pixels, marked by dots; perhaps to nothing."""
    part = text
    for kept in range(len(text) - 1, -2, -1):
        if cv2.getTextSize(part, _FONT, scale, 1)[0][0] <= width:
            return part
        cut = len(text) - kept
        part = f'...{text[cut:]}' if end else f'{text[:kept]}...'
    return ''


def tile_images(
    images: Sequence[np.ndarray], columns: int, gap: int = 4
) -> np.ndarray:
    """Arrange images of any sizes in rows of equal cells on white."""
    size = np.max([image.shape for image in images], axis=0)
    cells = np.full((len(images), *size), 255, np.uint8)
    for cell, image in zip(cells, images):
        cell[: image.shape[0], : image.shape[1]] = image
    grid = torch.from_numpy(cells).permute(0, 3, 1, 2)
    return _to_image(make_grid(grid, columns, gap, pad_value=255))


def panel(tiles: Sequence[Tile], columns: int = 5) -> np.ndarray:
    """Arrange captioned tiles in one picture."""
    images = [
        caption(x.image, x.text, x.color, keep_end=x.keep_end) for x in tiles
    ]
    return tile_images(images, columns)


def note_left_out(tiles: Sequence[Tile], left_out: int) -> List[Tile]:
    """Say in a corner of the last tile how many more there would be."""
    result = list(tiles)
    if result and left_out > 0:
        image = result[-1].image.copy()
        draw_text(image, f'+{left_out} more', image.shape[1::-1])
        result[-1] = result[-1]._replace(image=image)
    return result


def contact_sheet(
    rows: Sequence[Sequence[Tile]],
    cell: Tuple[int, int] = (160, 208),
    max_tiles: int = 8,
) -> np.ndarray:
    """Show many images in one picture: a row of small tiles for each.

    The last tile of a row says how many more there are.
    """
    columns = min(max_tiles, max(len(tiles) for tiles in rows))
    blank = Tile(np.full((*cell, 3), 255, np.uint8), '')
    cells: List[Tile] = []
    for tiles in rows:
        small = [
            x._replace(image=letterbox(x.image, *cell))
            for x in tiles[:columns]
        ]
        cells += note_left_out(small, len(tiles) - len(small))
        cells += [blank] * (columns - len(small))
    return panel(cells, columns)


def draw_masks(
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    colors: Union[np.ndarray, Sequence[Sequence[int]]],
    opacity: float,
) -> np.ndarray:
    """Colour masks (H, W) bool of an image's size; the last lies on top."""
    result = image.copy()
    for mask, color in zip(masks, np.asarray(colors, np.float32)):
        result[mask] = result[mask] * (1 - opacity) + color * opacity
    return result


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    colors: Union[np.ndarray, Sequence[Sequence[int]]],
    width: int = 2,
) -> np.ndarray:
    """Draw boxes (n, 4) of x1, y1, x2, y2 in pixels; x2, y2 are exclusive."""
    if not len(boxes):
        return image.copy()
    corners = torch.from_numpy(np.asarray(boxes).round().astype(np.int64))
    corners[:, 2:] = torch.maximum(corners[:, 2:] - 1, corners[:, :2])
    inks = [tuple(color) for color in np.asarray(colors).tolist()]
    drawn = draw_bounding_boxes(
        _to_tensor(image), corners, colors=inks, width=width
    )
    return _to_image(drawn)


def draw_label_map(
    image: np.ndarray,
    label_map: np.ndarray,
    palette: Optional[Sequence[Sequence[int]]] = None,
    opacity: float = 0.65,
    ignore_index: int = 255,
) -> np.ndarray:
    """Colour the classes of a label map (h, w) over an image.

    It has 0 for background, which stays as it is, and c + 1 for class c.
    """
    labels = _nearest(label_map, image.shape[:2])
    shown = np.setdiff1d(labels, [0, ignore_index])
    colors = class_colors(palette, int(shown.max(initial=0)))[shown - 1]
    masks = [labels == label for label in shown]
    result = draw_masks(image, masks, colors, opacity)
    result[labels == ignore_index] = IGNORE_COLOR
    return result


def draw_instances(
    image: np.ndarray,
    masks: np.ndarray,
    texts: Sequence[str] = (),
    opacity: float = 0.5,
) -> np.ndarray:
    """Colour masks (M, h, w) over an image, with outlines and labels.

    Earlier ones are drawn over later ones; labels stand where objects begin.
    """
    size, colors = image.shape[:2], instance_colors(len(masks))
    resized = [resize(mask.astype(np.float32), size) >= 0.5 for mask in masks]
    result = draw_masks(image, resized[::-1], colors[::-1], opacity)
    lines = [outline(mask) for mask in resized]
    result = draw_masks(result, lines[::-1], colors[::-1], 1)
    for mask, color, text in list(zip(resized, colors, texts))[::-1]:
        top, left = divmod(int(mask.argmax()), mask.shape[1])
        draw_text(result, text, (left, top), color)
    return result


def outline(mask: np.ndarray, size: int = 3) -> np.ndarray:
    """Outline of a mask (H, W) bool, holes included, ``size`` - 1 wide."""
    kernel = np.ones((size, size), np.uint8)
    plane = mask.astype(np.uint8)
    return cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, kernel) > 0


def heatmap_overlay(
    image: np.ndarray,
    heat: np.ndarray,
    strength: float = 0.65,
    colormap: int = cv2.COLORMAP_JET,
) -> np.ndarray:
    """Lay a heat map over an image, which stays visible where it is low.

    The map (h, w) is clipped to [0, 1], and NaN counts as 0. ``strength`` is
    its opacity at 1; at 0 it is half of that.
    """
    height, width = image.shape[:2]
    heat = np.clip(np.nan_to_num(heat.astype(np.float32)), 0, 1)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    # OpenCV's colour maps are BGR.
    colors = cv2.applyColorMap((heat * 255).astype(np.uint8), colormap)
    opacity = (strength * (0.5 + 0.5 * heat))[..., None]
    base = image.astype(np.float32)
    base += (colors[..., ::-1] - base) * opacity
    return base.round().astype(np.uint8)


def draw_density(image: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Lay a density map (h, w) over an image, relative to its maximum.

    What does not sum up to one object is drawn as faintly.
    """
    top = max(float(density.max(initial=0)), 1e-12)
    heat = density / top * np.clip(density.sum(), 0, 1)
    return heatmap_overlay(image, heat, colormap=cv2.COLORMAP_INFERNO)


def draw_peaks(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Draw white crosses with dark rims at points (P, 2) of x, y."""
    image = image.copy()
    size = 7 if max(image.shape[:2]) < 300 else 9
    for ink, thickness, arm in ((BLACK, 3, size + 2), (WHITE, 1, size)):
        for x, y in np.asarray(points).round().astype(int).tolist():
            cv2.drawMarker(
                image, (x, y), ink, cv2.MARKER_TILTED_CROSS, arm, thickness
            )
    return image


def draw_peak_responses(
    image: np.ndarray, responses: np.ndarray, darkness: float = 0.65
) -> np.ndarray:
    """Draw each peak response map (P, h, w) in its own colour.

    Response maps are sparse and their few strongest pixels outshine the
    rest, so each is smoothed a little and its 0.7th power is shown, relative
    to its 99.8th percentile. Photographs, of whose light ``darkness`` is
    taken away, shine through the strongest places.
    """
    light = np.zeros(image.shape, np.float32)
    total = np.zeros(image.shape[:2], np.float32)
    for response, color in zip(responses, instance_colors(len(responses))):
        plane = np.nan_to_num(response.astype(np.float32)).clip(0)
        plane = resize(plane, image.shape[:2])
        sigma = max(1.0, max(image.shape[:2]) / 250)
        plane = cv2.GaussianBlur(plane, (0, 0), sigma)
        top = float(np.quantile(plane, 0.998)) or float(plane.max())
        strength = np.minimum(plane / max(top, 1e-30), 1) ** 0.7
        light += strength[..., None] * color.astype(np.float32)
        total += strength
    # Where several maps meet, their colours share the pixel.
    light /= np.maximum(total, 1e-12)[..., None]
    opacity = 0.85 * np.minimum(total, 1)[..., None]
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    # The image gets its light back where colours hide most of it.
    dark = grey[..., None] * (1 - darkness * (1 - opacity))
    result = dark * (1 - opacity) + light * opacity
    return np.clip(result, 0, 255).round().astype(np.uint8)


def draw_score_map(
    image: np.ndarray,
    score_map: np.ndarray,
    boxes: np.ndarray = _NO_BOXES,
    gt_boxes: np.ndarray = _NO_BOXES,
    gt_mask: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Lay a score map over an image, with predicted boxes and the truth.

    Args:
        image: The image.
        score_map: (h, w) in [0, 1].
        boxes: (n, 4) in pixels of the image, drawn in white.
        gt_boxes: (m, 4), drawn in magenta.
        gt_mask: (h, w), 1 in outlined objects.
    """
    result = heatmap_overlay(image, score_map)
    if gt_mask is not None:
        mask = _nearest(gt_mask, image.shape[:2]) == 1
        lines = [outline(mask, 5), outline(mask)]
        result = draw_masks(result, lines, [BLACK, TRUTH], 1)
    for shown, color in ((gt_boxes, TRUTH), (boxes, WHITE)):
        rims = shown + np.array([-1, -1, 1, 1])
        result = draw_boxes(result, rims, [BLACK] * len(rims), 4)
        result = draw_boxes(result, shown, [color] * len(rims))
    for x, _, _, y in gt_boxes:
        draw_text(result, 'truth', (x, y), TRUTH)
    for x, y, _, _ in boxes:
        draw_text(result, 'predicted', (x, y))
    return result


def draw_assignment(
    image: np.ndarray, assignment: Any, opacity: float = 0.5
) -> np.ndarray:
    """Colour the target sample assigner's subsets over an image.

    Args:
        image: The image; shown at display size.
        assignment: (h, w) of 0 universum, 1 fake source, 2 target; the
            legend says the share of each.
        opacity: Of the colours.

    Raises:
        ValueError: If ``assignment`` is no map of 0, 1 and 2.
    """
    cells = np.asarray(assignment)
    if cells.ndim != 2 or not np.isin(cells, range(len(_SUBSETS))).all():
        raise ValueError(
            'assignment must be a map (h, w) of 0 universum, 1 fake source '
            f'and 2 target, got shape {cells.shape} with {np.unique(cells)}'
        )
    shown = resize(image, display_size(*image.shape[:2]))
    colors = list(_SUBSETS.values())
    parts = [draw_label_map(shown, cells + 1, colors, opacity)]
    for index, (name, color) in enumerate(_SUBSETS.items()):
        text = f'{name} {100 * np.mean(cells == index):.0f}%'
        parts.append(caption(shown[:0], text, _ink(color), color))
    return np.concatenate(parts)


def write_image(path: str, image: np.ndarray) -> None:
    """Write an image, whole or not at all; the suffix says the format."""
    suffix = os.path.splitext(path)[1]
    bgr = np.ascontiguousarray(image[..., ::-1])
    try:
        done, data = cv2.imencode(suffix, bgr)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f'{path}: {suffix!r} is no image format for writing')
    write_whole(path, data.tobytes())


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def _to_image(image: torch.Tensor) -> np.ndarray:
    return np.array(image.permute(1, 2, 0).numpy(), order='C')
