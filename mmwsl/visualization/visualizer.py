"""Draw image-level labels and what a model makes of them."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

import cv2
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.visualization import LocalVisBackend, Visualizer

from mmwsl.registry import VISUALIZERS
from mmwsl.utils.arrays import resize
from mmwsl.visualization.drawing import (
    Tile,
    display_size,
    panel,
    write_image,
)
from mmwsl.visualization.samples import (
    Canvas,
    class_map_tiles,
    density_tiles,
    given_labels,
    instance_tiles,
    label_map_tiles,
    response_tiles,
    score_map_tiles,
    truth_tiles,
)

_FLIP_AXES = {'horizontal': (1,), 'vertical': (0,), 'diagonal': (0, 1)}


@VISUALIZERS.register_module()
class WSLVisualizer(Visualizer):
    """Draws one panel for each image.

    After the input the panel shows what the sample has of: the ground truth
    (label map with boxes, instances), the predicted label map, the predicted
    instances and their peak response maps in the same colours, the score map
    with its box and the true ones, a heat map with the peaks for each class
    whose map was kept or has peaks, best score first, and a density map with
    its count for each class that is predicted or given. A caption in red
    contradicts the given labels or counts.

    Args:
        name (str): Name of the instance.
        shortest (int): Smaller images are shown with their shorter side
            at this length, so that captions have room.
        longest (int): Larger ones with their longer side at this length.
        columns (int): Most tiles in a row of the panel.
        max_instances (int): Most instances in a picture, the best ones.
        max_classes (int): Most heat maps and most density maps, those of
            the best scores and largest counts.
        box_threshold (float, optional): Where score maps without a predicted
            box are cut, such as ``box_threshold`` of MaxBoxAccMetric; None
            for the threshold that fits the true boxes of the image best.
        **kwargs: Arguments of mmengine's Visualizer.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        shortest: int = 224,
        longest: int = 400,
        columns: int = 5,
        max_instances: int = 10,
        max_classes: int = 8,
        box_threshold: Optional[float] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.shortest = shortest
        self.longest = longest
        self.columns = columns
        self.max_instances = max_instances
        self.max_classes = max_classes
        self.box_threshold = box_threshold

    # mmengine keeps it on the first process only, but each draws its images.
    @property
    def dataset_meta(self) -> Optional[dict]:
        """Class names and palette of the dataset."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: Optional[str] = None,
        step: int = 0,
    ) -> None:
        """Draw a panel and show it, write it or hand it to the backends.

        Backends get it as well, of several processes those of the first.
        The one of local files does so if there is neither window nor file.
        """
        tiles = self.draw_tiles(image, data_sample, draw_gt, draw_pred)
        picture = panel(tiles, self.columns)
        if show:
            _require_display()
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_image(out_file, picture)
        elsewhere = show or out_file is not None
        for backend in self._vis_backends.values():
            if not is_main_process():
                break
            if not (elsewhere and isinstance(backend, LocalVisBackend)):
                backend.add_image(name.replace('/', '_'), picture, step)

    def draw_tiles(
        self,
        image: np.ndarray,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
    ) -> List[Tile]:
        """Draw the tiles of an image's panel at display size, input first."""
        sample = {} if data_sample is None else data_sample
        height, width = image.shape[:2]
        size = display_size(height, width, self.shortest, self.longest)
        meta = self.dataset_meta or {}
        canvas = Canvas(
            resize(image, size),
            size[0] / height,
            meta.get('classes') or (),
            meta.get('palette'),
            draw_gt,
            self.max_instances,
            self.max_classes,
            self.box_threshold,
        )
        truth = []
        title = str(sample.get('img_id', 'input'))
        if draw_gt:
            truth = truth_tiles(canvas, sample)
            labels = given_labels(canvas, sample)
            if labels and not truth:
                title = f'{title}: {labels}'
        tiles = [Tile(canvas.image, title, keep_end=True), *truth]
        if not draw_pred:
            return tiles
        tiles += label_map_tiles(canvas, sample)
        if 'pred_instances' in sample:
            found = sample.get('pred_instances')
            tiles += instance_tiles(canvas, found, 'predicted: ')
            tiles += response_tiles(canvas, found)
        for draw in (score_map_tiles, class_map_tiles, density_tiles):
            tiles += draw(canvas, sample)
        return tiles


def _require_display() -> None:
    import matplotlib.pyplot as plt

    # Where there is no display, matplotlib falls back to this backend, and
    # mmengine would wait for ever for a window that does not exist.
    if plt.get_backend().lower() == 'agg':
        raise ValueError(
            'there is no display to show pictures in: write them to a folder '
            '(--show-dir) instead'
        )


def batch_images(
    data_batch: Mapping[str, Any], outputs: Sequence[Any]
) -> List[np.ndarray]:
    """Bring the images of a raw batch to their original sizes.

    Args:
        data_batch: ``inputs`` as the data loader gives them: (N, 3, h, w) or
            N tensors (3, h, w), BGR in 0..255, before the data preprocessor;
            with test-time augmentation by transforms one such list for each
            augmentation, of which an unflipped one is taken.
        outputs: N predicted samples with ``ori_shape`` and, if images were
            resized or padded, ``img_shape``.
    """
    inputs, samples = data_batch['inputs'], data_batch.get('data_samples')
    if len(inputs) and getattr(inputs[0], 'ndim', 0) != 3:
        views = samples or []
        plain = [i for i, view in enumerate(views) if not view[0].get('flip')]
        index = plain[0] if plain else 0
        inputs, samples = inputs[index], views[index] if views else None
    return [
        original_image(image, sample, output)
        for image, sample, output in zip(inputs, samples or outputs, outputs)
    ]


def original_image(
    image: torch.Tensor, sample: Any, output: Any
) -> np.ndarray:
    """Undo padding, flip and resizing of one input, BGR in 0..255.

    Args:
        image: (3, h, w) or (1, h, w).
        sample: With its ``img_shape`` and ``flip``.
        output: With its ``ori_shape``.
    """
    array = input_image(image, sample)
    if sample.get('flip'):
        array = np.flip(array, _FLIP_AXES[sample.get('flip_direction')])
    height, width = output.get('ori_shape', array.shape)[:2]
    array = np.ascontiguousarray(array)
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)


def input_image(image: torch.Tensor, sample: Any) -> np.ndarray:
    """Show one input as the network sees it, without its padding, in RGB."""
    pixels = image.detach().cpu().float().clamp(0, 255).round().byte()
    array = pixels.expand(3, -1, -1).permute(1, 2, 0).numpy()
    height, width = sample.get('img_shape', array.shape)[:2]
    return np.ascontiguousarray(array[:height, :width, ::-1])
