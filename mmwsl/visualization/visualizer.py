"""Pictures of image-level labels and what a model makes of them."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
from mmengine.visualization import Visualizer

from mmwsl.evaluation.metrics.fields import array
from mmwsl.registry import VISUALIZERS
from mmwsl.visualization.boxes import draw_boxes
from mmwsl.visualization.caption import BLACK, Color
from mmwsl.visualization.heatmap import heatmap_overlay
from mmwsl.visualization.label_map import draw_label_map
from mmwsl.visualization.tiles import Tile, display_size, panel, resize
from mmwsl.visualization.writing import write_image

# A map whose class is not among the given labels.
_WRONG: Color = (200, 0, 0)


@VISUALIZERS.register_module()
class WSLVisualizer(Visualizer):
    """Draws one panel for each image, with OpenCV.

    The panel shows the input, the ground truth (mask, boxes) and the
    predicted label map where the sample has them, and a heat map for each
    class whose map was kept, best score first. The name of a class that is
    not among the given labels is red.

    Args:
        name (str): Name of the instance.
        shortest (int): Smaller images are shown with their shorter side
            at this length, so that captions have room.
        longest (int): Larger ones with their longer side at this length.
        columns (int): Most tiles in a row of the panel.
        **kwargs: Arguments of mmengine's Visualizer.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        shortest: int = 224,
        longest: int = 400,
        columns: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.shortest = shortest
        self.longest = longest
        self.columns = columns

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
        """Draw a panel and write it, show it or hand it to the backends.

        Args:
            name (str): Title of the window and name for the backends.
            image (np.ndarray): (H, W, 3) uint8, RGB.
            data_sample (WSLDataSample, optional): Labels and predictions.
            draw_gt (bool): Whether to draw the ground truth.
            draw_pred (bool): Whether to draw the prediction.
            show (bool): Open a window.
            wait_time (float): Seconds that the window waits, 0 for ever.
            out_file (str, optional): File to write; without one and without
                a window the panel goes to the backends.
            step (int): Step for the backends.
        """
        tiles = self.draw_tiles(image, data_sample, draw_gt, draw_pred)
        picture = panel(tiles, self.columns)
        if show:
            _require_display()
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_image(out_file, picture)
        elif not show:
            self.add_image(name.replace('/', '_'), picture, step)

    def draw_tiles(
        self,
        image: np.ndarray,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
    ) -> List[Tile]:
        """The tiles of an image's panel, at display size.

        Args:
            image (np.ndarray): (H, W, 3) uint8, RGB.
            data_sample (WSLDataSample, optional): Labels and predictions.
            draw_gt (bool): Whether to draw the ground truth.
            draw_pred (bool): Whether to draw the prediction.

        Returns:
            list[Tile]: The input first.
        """
        sample = {} if data_sample is None else data_sample
        height, width = image.shape[:2]
        size = display_size(height, width, self.shortest, self.longest)
        shown = resize(image, *size)
        ground_truth = []
        if draw_gt:
            scale = size[0] / height
            ground_truth = self._ground_truth(shown, sample, scale)
        title = str(sample.get('img_id', 'input'))
        labels = self._given_labels(sample)
        if labels and not ground_truth and draw_gt:
            title = f'{title}: {labels}'
        tiles = [Tile(shown, title, keep_end=True), *ground_truth]
        if draw_pred:
            tiles += self._prediction(shown, sample)
            tiles += self._heat_maps(shown, sample, draw_gt)
        return tiles

    def _ground_truth(
        self, image: np.ndarray, sample: Any, scale: float
    ) -> List[Tile]:
        drawn = image
        if 'gt_sem_seg' in sample:
            mask = array(sample.get('gt_sem_seg').data)[0]
            drawn = draw_label_map(drawn, mask, self._palette())
        if 'gt_instances' in sample:
            instances = sample.get('gt_instances')
            boxes, labels = instances.get('bboxes'), instances.get('labels')
            if boxes is not None and labels is not None:
                drawn = draw_boxes(
                    drawn,
                    array(boxes) * scale,
                    array(labels),
                    palette=self._palette(),
                )
        if drawn is image:
            return []
        text = ': '.join(filter(None, ('truth', self._given_labels(sample))))
        return [Tile(drawn, text)]

    def _prediction(self, image: np.ndarray, sample: Any) -> List[Tile]:
        if 'pred_sem_seg' not in sample:
            return []
        label_map = array(sample.get('pred_sem_seg').data)[0]
        drawn = draw_label_map(image, label_map, self._palette())
        return [Tile(drawn, 'prediction')]

    def _heat_maps(
        self, image: np.ndarray, sample: Any, mark_wrong: bool
    ) -> List[Tile]:
        if 'pred_maps' not in sample:
            return []
        maps = array(sample.get('pred_maps').data)
        labels = array(sample.get('pred_map_labels')).tolist()
        scores = sample.get('pred_score')
        given = sample.get('gt_label') if mark_wrong else None
        values = [0.0 if scores is None else float(scores[c]) for c in labels]
        tiles = []
        for index in np.argsort(np.negative(values), kind='stable'):
            label = labels[index]
            text = self._name(label)
            if scores is not None:
                text = f'{text} {values[index]:.2f}'
            wrong = given is not None and label not in given.tolist()
            color = _WRONG if wrong else BLACK
            tiles.append(
                Tile(heatmap_overlay(image, maps[index]), text, color)
            )
        return tiles

    def _given_labels(self, sample: Any) -> str:
        labels = sample.get('gt_label')
        if labels is None:
            return ''
        return ', '.join(self._name(c) for c in labels.tolist())

    def _name(self, label: int) -> str:
        names = (self.dataset_meta or {}).get('classes') or ()
        return names[label] if label < len(names) else f'class {label}'

    def _palette(self) -> Optional[Sequence[Sequence[int]]]:
        return (self.dataset_meta or {}).get('palette')


def _require_display() -> None:
    import matplotlib.pyplot as plt

    # Where there is no display, matplotlib falls back to this backend, and
    # mmengine would wait for ever for a window that does not exist.
    if plt.get_backend().lower() == 'agg':
        raise ValueError(
            'there is no display to show pictures in: write them to a folder '
            '(--show-dir) instead'
        )
