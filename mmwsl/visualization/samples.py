"""Draw the fields of a data sample, each as the tiles of a panel.

A field that a sample lacks makes no tile; the last caption or tile says how
many things are left out.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mmwsl.evaluation.functional import maps_to_boxes
from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    box_ious,
    resize_boxes,
    sweep_boxes,
)
from mmwsl.utils.arrays import array
from mmwsl.utils.tables import class_name
from mmwsl.visualization.drawing import (
    BLACK,
    WRONG,
    Tile,
    class_colors,
    draw_boxes,
    draw_density,
    draw_instances,
    draw_label_map,
    draw_peak_responses,
    draw_peaks,
    draw_score_map,
    heatmap_overlay,
    note_left_out,
)


class Canvas(NamedTuple):
    """An image at display size, and how to draw on it.

    Attributes:
        image (np.ndarray): (h, w, 3) uint8, RGB, at display size.
        scale (float): Display size through original size.
        classes (Sequence[str]): Names of the classes, perhaps none.
        palette (Sequence, optional): RGB of the classes.
        use_truth (bool): Whether predictions are compared with the truth.
        max_instances, max_classes (int): How many are drawn at most.
        box_threshold (float, optional): Of score maps without a box.
    """

    image: np.ndarray
    scale: float = 1.0
    classes: Sequence[str] = ()
    palette: Optional[Sequence[Sequence[int]]] = None
    use_truth: bool = True
    max_instances: int = 10
    max_classes: int = 8
    box_threshold: Optional[float] = None

    def name(self, label: int) -> str:
        """The name of a class, or its number."""
        return class_name(self.classes, label)


def given_labels(canvas: Canvas, sample: Any) -> str:
    """Names of the classes in ``gt_label`` (K,)."""
    labels = sample.get('gt_label')
    if labels is None:
        return ''
    return ', '.join(canvas.name(label) for label in labels.tolist())


def truth_tiles(canvas: Canvas, sample: Any) -> List[Tile]:
    """Draw ``gt_sem_seg`` (1, H, W) and ``gt_instances``.

    Boxes are drawn where instances have no masks.
    """
    drawn, tiles = canvas.image, []
    if 'gt_sem_seg' in sample:
        mask = array(sample.get('gt_sem_seg').data)[0]
        drawn = draw_label_map(drawn, mask, canvas.palette)
    instances = sample.get('gt_instances')
    if instances is not None:
        tiles = instance_tiles(canvas, instances, 'truth: ')
        boxes, labels = instances.get('bboxes'), instances.get('labels')
        if not tiles and boxes is not None and labels is not None:
            labels = array(labels)
            colors = class_colors(
                canvas.palette, int(labels.max(initial=0)) + 1
            )
            drawn = draw_boxes(
                drawn, array(boxes) * canvas.scale, colors[labels]
            )
    if drawn is not canvas.image:
        names = given_labels(canvas, sample)
        tiles = [Tile(drawn, f'truth: {names}' if names else 'truth'), *tiles]
    return tiles


def label_map_tiles(canvas: Canvas, sample: Any) -> List[Tile]:
    """Draw ``pred_sem_seg`` (1, H, W)."""
    if 'pred_sem_seg' not in sample:
        return []
    label_map = array(sample.get('pred_sem_seg').data)[0]
    drawn = draw_label_map(canvas.image, label_map, canvas.palette)
    return [Tile(drawn, 'prediction')]


def instance_tiles(canvas: Canvas, instances: Any, title: str) -> List[Tile]:
    """Draw ``masks`` (M, H, W) of instances, best first, in one tile.

    They have ``labels`` (M,) and perhaps ``scores`` and ``difficult`` (M,).
    """
    masks = instances.get('masks')
    if masks is None:
        return []
    limit = canvas.max_instances
    labels = array(instances.get('labels'))[:limit].tolist()
    texts = [canvas.name(label) for label in labels]
    scores, difficult = instances.get('scores'), instances.get('difficult')
    for index in range(len(texts)):
        if scores is not None:
            texts[index] += f' {float(scores[index]):.3g}'
        if difficult is not None and bool(difficult[index]):
            texts[index] += ' (difficult)'
    drawn = draw_instances(canvas.image, array(masks[:limit]), texts)
    number = f'{len(texts)} instance{"" if len(texts) == 1 else "s"}'
    return [Tile(drawn, f'{title}{number}{_more(len(masks) - len(texts))}')]


def response_tiles(canvas: Canvas, instances: Any) -> List[Tile]:
    """Draw ``peak_response_maps`` (M, H, W) in the colours of instances.

    Their ``peaks`` (M, 2), if known, are x, y in the original image.
    """
    responses = instances.get('peak_response_maps')
    if responses is None or not len(responses):
        return []
    limit = canvas.max_instances
    shown = array(responses[:limit])
    drawn = draw_peak_responses(canvas.image, shown)
    peaks = instances.get('peaks')
    if peaks is not None:
        drawn = draw_peaks(drawn, array(peaks[:limit]) * canvas.scale)
    number = f'{len(shown)} peak response{"s" * (len(shown) > 1)}'
    return [Tile(drawn, number + _more(len(responses) - len(shown)))]


def score_map_tiles(canvas: Canvas, sample: Any) -> List[Tile]:
    """Draw ``pred_score_map`` (1, h, w) in [0, 1] with boxes in one tile.

    The box is that of ``pred_instances`` or, without one, the map's at the
    canvas' threshold, or else at the one that fits this image's true boxes
    best, which the text then calls the best IoU. Overlaps are those of the
    localisation metrics, on the pixels of the map. The truth is the boxes of
    ``gt_instances`` and ``gt_loc_mask``.
    """
    if 'pred_score_map' not in sample:
        return []
    heat = array(sample.get('pred_score_map').data)[0]
    shape = np.array(canvas.image.shape[:2])
    size = sample.get('ori_shape', tuple(shape / canvas.scale))[:2]
    truth = _boxes_of(sample, 'gt_instances')
    truth = truth if canvas.use_truth else truth[:0]
    on_map = resize_boxes(truth, size, heat.shape)
    found = _boxes_of(sample, 'pred_instances')
    if len(found):
        boxes, text = resize_boxes(found, size, heat.shape), ''
        if len(truth):
            text = f', IoU {box_ious(boxes, on_map).max():.2f}'
        found = found * canvas.scale
    else:
        boxes, text = _threshold_box(heat, on_map, canvas.box_threshold)
        found = boxes * np.tile(shape[::-1] / heat.shape[::-1], 2)
    mask = sample.get('gt_loc_mask') if canvas.use_truth else None
    drawn = draw_score_map(
        canvas.image,
        heat,
        found,
        truth * canvas.scale,
        None if mask is None else array(mask.data)[0],
    )
    labels, scores = sample.get('gt_label'), sample.get('pred_score')
    title = 'score map'
    if labels is not None and len(labels) == 1:
        title = f'{canvas.name(int(labels[0]))} map'
    elif scores is not None:
        title = f'{canvas.name(int(scores.argmax()))} map'
    return [Tile(drawn, title + text)]


def _threshold_box(
    heat: np.ndarray, truth: np.ndarray, threshold: Optional[float]
) -> Tuple[np.ndarray, str]:
    """The box (1, 4) of a map on its pixels, and what is said of it."""
    name = ', IoU'
    if threshold is None:
        if not len(truth):
            return np.zeros((0, 4)), ''
        overlap, _ = best_ious(sweep_boxes(heat, THRESHOLDS), truth)
        threshold, name = float(THRESHOLDS[overlap.argmax()]), ', best IoU'
    (box,) = maps_to_boxes(heat, [threshold])
    if not len(truth):
        return box, f' at {threshold:.2f}'
    return box, f'{name} {box_ious(box, truth).max():.2f} at {threshold:.2f}'


def _boxes_of(sample: Any, name: str) -> np.ndarray:
    """The boxes (n, 4) of a field of instances, perhaps none."""
    boxes = sample.get(name, {}).get('bboxes')
    boxes = array(() if boxes is None else boxes)
    return boxes.reshape(-1, 4).astype(np.float64)


def class_map_tiles(canvas: Canvas, sample: Any) -> List[Tile]:
    """Draw ``pred_maps`` (K, H, W) of ``pred_map_labels`` (K,), best first.

    ``pred_peaks`` of a class are crosses in its map; where none was kept it
    is that of ``pred_class_maps``, on which they were found. The name of a
    class that is not in ``gt_label`` is red.
    """
    if 'pred_maps' not in sample:
        return []
    maps = _maps_of_classes(sample)
    labels = list(maps)
    scores, peaks = sample.get('pred_score'), sample.get('pred_peaks')
    given = sample.get('gt_label') if canvas.use_truth else None
    if scores is not None:
        values = array(scores)
        labels.sort(key=lambda label: -float(values[label]))
    tiles = []
    for label in labels[: canvas.max_classes]:
        text = canvas.name(label)
        if scores is not None:
            text = f'{text} {values[label]:.2f}'
        drawn = heatmap_overlay(canvas.image, array(maps[label]))
        if peaks is not None:
            own = array(peaks.get('labels')) == label
            points = array(peaks.get('points'))[own]
            drawn = draw_peaks(drawn, points * canvas.scale)
        wrong = given is not None and label not in given.tolist()
        tiles.append(Tile(drawn, text, WRONG if wrong else BLACK))
    return note_left_out(tiles, len(labels) - len(tiles))


def _maps_of_classes(sample: Any) -> Dict[int, Any]:
    """The kept maps, and those of the other classes that have peaks."""
    labels = array(sample.get('pred_map_labels')).tolist()
    maps = dict(zip(labels, sample.get('pred_maps').data))
    peaks, logits = sample.get('pred_peaks'), sample.get('pred_class_maps')
    if peaks is None or logits is None:
        return maps
    for label in np.unique(array(peaks.get('labels'))).tolist():
        if label not in maps:
            heat = array(logits.data[label]).clip(min=0)
            maps[label] = heat / max(float(heat.max()), 1e-6)
    return maps


def density_tiles(canvas: Canvas, sample: Any) -> List[Tile]:
    """Draw ``pred_density`` (C, h, w) of predicted and of given classes.

    The largest of ``pred_count`` (C,) and ``gt_count`` (C,) come first; a
    count that is not the true one is red.
    """
    if 'pred_density' not in sample:
        return []
    maps = array(sample.get('pred_density').data)
    raw = maps.sum(axis=(1, 2))
    counts = array(sample.get('pred_count', np.maximum(raw.round(), 0)))
    truth = sample.get('gt_count') if canvas.use_truth else None
    asked = np.zeros(len(maps)) if truth is None else array(truth)
    given = np.zeros(len(maps), bool)
    if canvas.use_truth:
        given[array(sample.get('gt_label', [])).astype(int)] = True
    shown = np.flatnonzero((counts > 0) | (asked > 0) | given)
    order = np.lexsort((-raw[shown], -np.maximum(counts, asked)[shown]))
    tiles = []
    for label in shown[order][: canvas.max_classes].tolist():
        known = None if truth is None else int(asked[label])
        count = float(counts[label])
        # Adding 0 turns the -0 of a rounded negative number into 0.
        total = round(float(raw[label]), 1) + 0.0
        text = f'{canvas.name(label)}: {count + 0.0:.4g} (raw {total:.1f})'
        wrong = known is not None and count != known
        if known is not None:
            text += f', truth {known}'
        drawn = draw_density(canvas.image, maps[label])
        tiles.append(Tile(drawn, text, WRONG if wrong else BLACK))
    return note_left_out(tiles, len(shown) - len(tiles))


def _more(left_out: int) -> str:
    """What a caption says of things that are not shown."""
    return f' (+{left_out} more)' if left_out > 0 else ''
