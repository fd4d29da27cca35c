"""Pictures of image-level labels and what a model makes of them."""

from __future__ import annotations

from typing import Any, List, Optional

import numpy as np
from mmengine.visualization import Visualizer

from mmwsl.registry import VISUALIZERS
from mmwsl.utils.arrays import array
from mmwsl.visualization.boxes import draw_boxes
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.density import density_tiles
from mmwsl.visualization.heatmap import heat_map_tiles
from mmwsl.visualization.instances import instance_tiles
from mmwsl.visualization.label_map import draw_label_map
from mmwsl.visualization.peaks import response_tiles
from mmwsl.visualization.score_map import score_map_tiles
from mmwsl.visualization.tiles import Tile, display_size, panel, resize
from mmwsl.visualization.writing import write_image


@VISUALIZERS.register_module()
class WSLVisualizer(Visualizer):
    """Draws one panel for each image, with OpenCV.

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
        canvas = self._canvas(image)
        ground_truth = self._ground_truth(canvas, sample) if draw_gt else []
        title = str(sample.get('img_id', 'input'))
        labels = self._given_labels(canvas, sample)
        if labels and not ground_truth and draw_gt:
            title = f'{title}: {labels}'
        tiles = [Tile(canvas.image, title, keep_end=True), *ground_truth]
        if draw_pred:
            tiles += self._prediction(canvas, sample, draw_gt)
        return tiles

    def _canvas(self, image: np.ndarray) -> Canvas:
        """The image at display size, with the names of the classes."""
        height, width = image.shape[:2]
        size = display_size(height, width, self.shortest, self.longest)
        meta = self.dataset_meta or {}
        return Canvas(
            resize(image, *size),
            size[0] / height,
            meta.get('classes') or (),
            meta.get('palette'),
        )

    def _ground_truth(self, canvas: Canvas, sample: Any) -> List[Tile]:
        drawn = canvas.image
        if 'gt_sem_seg' in sample:
            mask = array(sample.get('gt_sem_seg').data)[0]
            drawn = draw_label_map(drawn, mask, canvas.palette)
        tiles = []
        if 'gt_instances' in sample:
            instances = sample.get('gt_instances')
            boxes, labels = instances.get('bboxes'), instances.get('labels')
            tiles = instance_tiles(
                canvas, instances, 'truth: ', self.max_instances
            )
            if not tiles and boxes is not None and labels is not None:
                drawn = draw_boxes(
                    drawn,
                    array(boxes) * canvas.scale,
                    array(labels),
                    palette=canvas.palette,
                )
        if drawn is not canvas.image:
            labels = self._given_labels(canvas, sample)
            text = ': '.join(filter(None, ('truth', labels)))
            tiles.insert(0, Tile(drawn, text))
        return tiles

    def _prediction(
        self, canvas: Canvas, sample: Any, use_truth: bool
    ) -> List[Tile]:
        tiles = []
        if 'pred_sem_seg' in sample:
            label_map = array(sample.get('pred_sem_seg').data)[0]
            drawn = draw_label_map(canvas.image, label_map, canvas.palette)
            tiles.append(Tile(drawn, 'prediction'))
        if 'pred_instances' in sample:
            instances = sample.get('pred_instances')
            tiles += instance_tiles(
                canvas, instances, 'predicted: ', self.max_instances
            )
            tiles += response_tiles(canvas, instances, self.max_instances)
        tiles += score_map_tiles(canvas, sample, use_truth, self.box_threshold)
        tiles += heat_map_tiles(canvas, sample, use_truth, self.max_classes)
        tiles += density_tiles(canvas, sample, use_truth, self.max_classes)
        return tiles

    def _given_labels(self, canvas: Canvas, sample: Any) -> str:
        labels = sample.get('gt_label')
        if labels is None:
            return ''
        return ', '.join(canvas.name(c) for c in labels.tolist())


def _require_display() -> None:
    import matplotlib.pyplot as plt

    # Where there is no display, matplotlib falls back to this backend, and
    # mmengine would wait for ever for a window that does not exist.
    if plt.get_backend().lower() == 'agg':
        raise ValueError(
            'there is no display to show pictures in: write them to a folder '
            '(--show-dir) instead'
        )
