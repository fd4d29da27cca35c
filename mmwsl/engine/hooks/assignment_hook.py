"""Draw the subsets of the target sample assigner."""

import os
from typing import Any, Optional, Sequence, Tuple

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.models.losses import DALLoss
from mmwsl.registry import HOOKS
from mmwsl.utils.checkpoints import unwrap
from mmwsl.visualization import (
    caption,
    draw_assignment,
    input_image,
    tile_images,
    write_image,
)


@HOOKS.register_module()
class AssignmentVisualizationHook(Hook):
    """Draw the assigner's three subsets over images during training.

    Every ``interval`` iterations the first images of the batch, as they
    enter the data preprocessor, are written with their pixels' subsets to
    ``assignment/iter_000100.jpg`` in the run's ``work_dir``, by the first
    process. What batch augmentations then erase or mix in is not seen.

    The assignment is that of the model's first DALLoss, which keeps it where
    the hook asks for it.

    Args:
        interval (int): Draw every ``interval``-th iteration.
        max_images (int): Most images of a batch.
        columns (int): Most images in a row.
    """

    def __init__(
        self, interval: int = 100, max_images: int = 8, columns: int = 4
    ) -> None:
        for name, value in (
            ('interval', interval),
            ('max_images', max_images),
            ('columns', columns),
        ):
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}.')
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
        divisor = getattr(
            unwrap(runner.model).data_preprocessor, 'pad_size_divisor', 1
        )
        inputs = list(data_batch['inputs'])
        size = _padded_size(inputs, divisor)
        samples = data_batch['data_samples'][: self.max_images]
        tiles = []
        for image, sample, cells in zip(inputs, samples, assignment.cpu()):
            shown = input_image(image, sample)
            drawn = draw_assignment(
                shown, _seen_cells(cells, shown.shape[:2], size)
            )
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


def _padded_size(
    inputs: Sequence[torch.Tensor], divisor: int
) -> Tuple[int, int]:
    """Height and width of the batch that the preprocessor makes of inputs."""
    height = max(image.shape[-2] for image in inputs)
    width = max(image.shape[-1] for image in inputs)
    return height + -height % divisor, width + -width % divisor


def _seen_cells(
    cells: torch.Tensor, shape: Tuple[int, int], padded: Tuple[int, int]
) -> torch.Tensor:
    """Bring cells (h, w) of a padded input to pixels of its image (H, W)."""
    y = torch.arange(shape[0]) * cells.shape[0] // padded[0]
    x = torch.arange(shape[1]) * cells.shape[1] // padded[1]
    return cells[y[:, None], x]
