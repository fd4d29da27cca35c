"""Pictures of what the stages make, for the page.

Shape shorthand: (H, W) the picture, K classes.
"""

import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set

import numpy as np

from mmwsl.datasets.files import find_files, image_id
from mmwsl.evaluation.files import read_maps
from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.utils.images import (
    IMG_SUFFIXES,
    image_size,
    open_picture,
    read_image,
    read_index_mask,
)
from mmwsl.visualization import (
    Tile,
    draw_label_map,
    heatmap_overlay,
    letterbox,
    panel,
)
from mmwsl.visualization.tiles import note_left_out, resize

LONGEST = 360
_HEAT_MAPS = 4
_GREY = 235


class Drawing(NamedTuple):
    """A picture (H, W, 3) uint8, RGB, and the classes that it colours."""

    image: np.ndarray
    classes: Set[int]


class PictureFolder:
    """The files of a stage's pictures, found by the id of their image.

    Args:
        folder: Holds ``<image id>.png`` label maps, ``<image id>.npz`` class
            maps or regions, or pictures, whose names may also be what mmseg's
            hook makes of the last part of an id.
    """

    def __init__(self, folder: str) -> None:
        self.files: Dict[str, str] = {}
        self._names: Dict[str, str] = {}
        found = []
        if os.path.isdir(folder):
            found = find_files(folder, (*IMG_SUFFIXES, '.npz'), silent=True)
        for path in found:
            img_id = image_id(path, folder)
            self.files[img_id] = path
            plain = re.sub(r'^(val|test)_|_\d+$', '', img_id.split('/')[-1])
            self._names.setdefault(plain, path)

    def find(self, img_id: str) -> Optional[str]:
        """The file of an image, or None."""
        return self.files.get(img_id) or self._names.get(img_id.split('/')[-1])


def read_fitting(path: str, others: Iterable[Optional[str]]) -> np.ndarray:
    """Read an image as :func:`read_picture` does, so that others fit on it.

    Args:
        path: The image.
        others: Label maps and pictures of it. If one has the size of the
            stored image, it is not turned by its EXIF entry.
    """
    stored = image_size(path, exif_orientation=False)
    turn = stored == image_size(path)
    if not turn:
        maps = [other for other in others if other and other.endswith('.png')]
        turn = stored not in [image_size(other) for other in maps]
    return read_picture(path, turn)


def read_picture(path: str, turn: bool = True) -> np.ndarray:
    """Read a picture, (H, W, 3) uint8, RGB, its longer side shortened."""
    image = read_image(path, turn)[..., ::-1]
    scale = LONGEST / max(image.shape[:2])
    if scale < 1:
        height, width = (max(1, round(x * scale)) for x in image.shape[:2])
        image = resize(image, height, width)
    return image


def draw_file(
    path: str, image: Optional[np.ndarray], classes: Sequence[str] = ()
) -> Drawing:
    """Draw what a stage made of an image.

    Args:
        path: A label map, class maps, regions or a picture.
        image: (H, W, 3) uint8, RGB to draw on; None if there is none.
        classes: Names of the classes.

    Raises:
        ValueError: If the file is something else.
    """
    if path.endswith('.npz'):
        with np.load(path) as arrays:
            names = set(arrays.files)
        if 'bits' in names:
            return draw_labels(_flat_regions(path), image)
        maps, labels = read_maps(path, -1)
        return Drawing(
            _heat_maps(maps, labels.tolist(), image, classes), set()
        )
    with open_picture(path, decode=False) as picture:
        colours = picture.mode not in ('P', 'L', '1')
    if colours or not path.endswith('.png'):
        return Drawing(read_picture(path), set())
    return draw_labels(read_index_mask(path), image)


def draw_labels(labels: np.ndarray, image: Optional[np.ndarray]) -> Drawing:
    """Colour a label map (H, W) over an image."""
    base = _blank(labels.shape) if image is None else image
    return Drawing(draw_label_map(base, labels), set(np.unique(labels)))


def _blank(shape: Sequence[int]) -> np.ndarray:
    """A grey field to draw on, no larger than a picture."""
    scale = min(1.0, LONGEST / max(shape))
    size = [max(1, round(side * scale)) for side in shape[:2]]
    return np.full((*size, 3), _GREY, np.uint8)


def _flat_regions(path: str) -> np.ndarray:
    """Regions as a label map; where they overlap it is ignored."""
    regions, labels = read_regions(path)
    flat = np.zeros(regions.shape[1:], np.uint8)
    for region, label in zip(regions, labels.tolist()):
        flat[region] = np.where(flat[region] > 0, 255, label + 1)
    return flat


def _heat_maps(
    maps: np.ndarray,
    labels: List[int],
    image: Optional[np.ndarray],
    classes: Sequence[str],
) -> np.ndarray:
    """One heat map, or several small ones in the room of one."""
    base = _blank(maps.shape[1:]) if image is None else image
    if not len(maps):
        return base
    names = [classes[x] if x < len(classes) else f'class {x}' for x in labels]
    planes = [np.asarray(plane, np.float32) for plane in maps[:_HEAT_MAPS]]
    tiles = [
        Tile(heatmap_overlay(base, plane), name)
        for plane, name in zip(planes, names)
    ]
    tiles = note_left_out(tiles, len(maps) - len(tiles))
    if len(tiles) == 1:
        return tiles[0].image
    # Two beside or above one another, four in a square.
    high, wide = base.shape[:2]
    small = [
        tile._replace(image=letterbox(tile.image, high // 2, wide // 2))
        for tile in tiles
    ]
    return panel(small, columns=2)
