"""Draw the subsets of the target sample assigner."""

import os
from typing import Any, Optional

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.models.losses import DALLoss
from mmwsl.registry import HOOKS
from mmwsl.utils.checkpoints import unwrap
from mmwsl.visualization.drawing import (
    caption,
    draw_assignment,
    tile_images,
    write_image,
)
from mmwsl.visualization.visualizer import input_image


@HOOKS.register_module()
class AssignmentVisualizationHook(Hook):
    """Draw the assigner's three subsets over images during training.

    Every ``interval`` iterations the first images of the batch, as they
    enter the data preprocessor, are written with the subsets of their pixels
    to ``assignment/iter_000100.jpg`` in the run's ``work_dir``, by the first
    process. What batch augmentations then erase or mix in is not seen. The
    assignment is that of the model's first DALLoss.

    Args:
        interval: Draw every ``interval``-th iteration.
        max_images: Most images of a batch.
        columns: Most images in a row.
    """

    def __init__(
        self, interval: int = 100, max_images: int = 8, columns: int = 4
    ) -> None:
        if min(interval, max_images, columns) < 1:
            raise ValueError(
                'AssignmentVisualizationHook: interval, max_images and '
                f'columns must be at least 1, got {interval}, {max_images} '
                f'and {columns}.'
            )
        self.interval = interval
        self.max_images = max_images
        self.columns = columns

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Ask the loss for the assignment of this iteration."""
        loss = _dal_loss(runner)
        loss.keep_assignment = self._due(runner)
        loss.last_assignment = None

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Draw the batch."""
        if not self._due(runner):
            return
        assignment = _dal_loss(runner).last_assignment
        # The loss may wait some epochs before it assigns anything.
        if assignment is None:
            return
        preprocessor = unwrap(runner.model).data_preprocessor
        divisor = getattr(preprocessor, 'pad_size_divisor', 1)
        inputs = list(data_batch['inputs'])
        # What the preprocessor pads the batch to.
        sides = [max(img.shape[axis] for img in inputs) for axis in (-2, -1)]
        height, width = (side + -side % divisor for side in sides)
        samples = data_batch['data_samples'][: self.max_images]
        tiles = []
        for image, sample, cells in zip(inputs, samples, assignment.cpu()):
            shown = input_image(image, sample)
            # From cells of the padded input to pixels of the image.
            y = torch.arange(shown.shape[0]) * cells.shape[0] // height
            x = torch.arange(shown.shape[1]) * cells.shape[1] // width
            drawn = draw_assignment(shown, cells[y[:, None], x])
            name = str(sample.get('img_id', ''))
            tiles.append(caption(drawn, name, keep_end=True))
        name = f'iter_{runner.iter + 1:06d}.jpg'
        path = os.path.join(runner.work_dir, 'assignment', name)
        write_image(path, tile_images(tiles, self.columns))

    def _due(self, runner: Runner) -> bool:
        return (runner.iter + 1) % self.interval == 0


def _dal_loss(runner: Runner) -> DALLoss:
    """Return the loss whose assignment is drawn."""
    for module in runner.model.modules():
        if isinstance(module, DALLoss):
            return module
    raise TypeError(
        'AssignmentVisualizationHook needs a model with a DALLoss in '
        f'model.auxiliary, and {type(unwrap(runner.model)).__name__} has none.'
    )
