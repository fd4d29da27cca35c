"""Compare the making of pseudo labels with plain numpy.

``python tools/benchmarks/pseudo_labels.py`` makes NSROM's label maps of
random smooth maps in two ways, image by image and turn by turn: with the
functions of ``mmwsl.pseudo_labels``, and with numpy as the method was
published, which scores all classes of the data set at every pixel. It checks
that the label maps are equal.
"""

import argparse
from typing import Dict, List, NamedTuple

from mmwsl.pseudo_labels import (
    ignore_if_small,
    initial_label,
    non_salient_region_masking,
    potential_object_mining,
)

import cv2
import numpy as np

from timing import compare, equal, make_parser

parser = make_parser(__doc__)
parser.option('--images', 60)
parser.option('--size', (375, 500))

NUM_CLASSES = 20


class Image(NamedTuple):
    """What the label maps of one image are made of."""

    saliency: np.ndarray
    maps: Dict[int, np.ndarray]
    cams: Dict[int, np.ndarray]
    prediction: np.ndarray


def random_images(number: int, height: int, width: int) -> List[Image]:
    """Draw smooth maps; every class set has one to three classes."""
    rng = np.random.default_rng(0)

    def smooth() -> np.ndarray:
        coarse = rng.random((7, 9)).astype(np.float32)
        return cv2.resize(coarse, (width, height))

    images = []
    for index in range(number):
        classes = rng.choice(NUM_CLASSES, 1 + index % 3, replace=False)
        maps = {int(c): smooth() for c in classes}
        cams = {int(c): smooth() for c in classes}
        saliency = np.clip(2 * smooth() - 1, 0, 1)
        prediction = np.zeros((height, width), np.uint8)
        for c, cam in cams.items():
            prediction[cam > 0.8] = c + 1
        images.append(Image(saliency, maps, cams, prediction))
    return images


def ours(image: Image) -> np.ndarray:
    """Run all steps with the functions of the package."""
    label = initial_label(image.saliency, image.maps)
    label = ignore_if_small(potential_object_mining(label, image.cams))
    label = non_salient_region_masking(
        image.prediction, label, image.saliency, len(image.maps)
    )
    return ignore_if_small(label)


def scaled(plane: np.ndarray) -> np.ndarray:
    """Scale a map to [0, 1]."""
    return (plane - np.min(plane)) / (np.max(plane) - np.min(plane))


def drop_small(label: np.ndarray) -> np.ndarray:
    """Ignore images with hardly any object."""
    valid = np.array((label > 0) & (label < 255), dtype=int).sum()
    if float(valid) / label.size < 0.01:
        label[...] = 255
    return label


def plain(image: Image) -> np.ndarray:
    """Run all steps in plain numpy."""
    saliency = image.saliency
    scores = np.zeros((NUM_CLASSES + 1, *saliency.shape), np.float32)
    scores[0] = 1 - saliency
    shown = saliency.copy()
    for c, plane in image.maps.items():
        scores[c + 1] = scaled(plane)
        shown = np.maximum(shown, np.array(scores[c + 1] > 0.8, dtype=float))
    conflicts = np.array(scores > 0.9, dtype=np.uint8)
    scores[scores < 0.3] = 0
    label = np.argmax(scores, axis=0).astype(np.uint8)
    label[np.sum(conflicts, axis=0) > 1] = 255
    uncertain = np.array(shown >= 32 / 255, dtype=np.uint8)
    label[uncertain * np.array(label == 0, dtype=np.uint8) > 0] = 255

    initial = label.copy()
    for c, plane in image.cams.items():
        cam = scaled(plane)
        if c + 1 in np.unique(initial):
            limit = np.median(cam[initial == c + 1])
        else:
            limit = np.median(cam[cam > 0.3])
            limit = np.median(cam[cam > limit])
        label[(initial == 0) & (cam > limit)] = 255
    label = drop_small(label)

    result = image.prediction.copy()
    if len(image.maps) > 1:
        fill = (result == 0) & (label != 0) & (label != 255)
        result[fill] = label[fill]
        mask = np.zeros_like(result)
        mask[result != 0] = 1
        mask[saliency != 0] = 1
        mask = cv2.dilate(mask, np.ones((30, 30), np.uint8))
        result[mask == 0] = 255
    return drop_small(result)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    images = random_images(args.images, *args.size)
    ways = {
        'mmwsl': lambda: [ours(image) for image in images],
        'plain numpy': lambda: [plain(image) for image in images],
    }
    for name, seconds in compare(args, ways, equal).items():
        print(f'{name}: {len(images) / seconds:.1f} images/s')


if __name__ == '__main__':
    raise SystemExit(main())
