"""Pictures of a test or validation run."""

from __future__ import annotations

import os
from typing import Any, List, Mapping, Optional, Sequence

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmwsl.registry import HOOKS
from mmwsl.utils.files import join_inside
from mmwsl.visualization import (
    CountScatter,
    Tile,
    WSLVisualizer,
    batch_images,
    contact_sheet,
    write_image,
)


@HOOKS.register_module()
class WSLVisualizationHook(Hook):
    """Writes a panel for each image and contact sheets of many images.

    Pictures are named after the image ids, sub-folders included. Of several
    processes each writes its own images, and together the same as one; their
    sheets carry the number of the process. Where samples have predicted and
    true counts, ``counts.png`` plots those of the whole set, drawn or not.
    Pictures of a validation go to the sub-folder ``val_<iteration>``.

    Args:
        draw (bool): Whether to do anything.
        interval (int): Draw every ``interval``-th image.
        show (bool): Open a window for each image.
        wait_time (float): Seconds that the window waits, 0 for ever.
        out_dir (str, optional): Folder of the pictures; None for
            ``pictures`` beside the run's log, or for no files if ``show``.
        max_images (int, optional): Draw only that many images of the
            dataset, the first ones; None for all.
        sheet_size (int): Images on one contact sheet; 0 for no sheets.
        suffix (str): Format of the panels, as file suffix.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 1,
        show: bool = False,
        wait_time: float = 0.0,
        out_dir: Optional[str] = None,
        max_images: Optional[int] = None,
        sheet_size: int = 20,
        suffix: str = '.jpg',
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir
        self.max_images = max_images
        self.sheet_size = sheet_size
        self.suffix = suffix
        self._reset()

    def _reset(self) -> None:
        self._seen = 0
        self._drawn = 0
        self._sheets = 0
        self._rows: List[Sequence[Tile]] = []
        self._counts = CountScatter()

    def before_val_epoch(self, runner: Runner) -> None:
        """Start counting."""
        self._reset()

    def before_test_epoch(self, runner: Runner) -> None:
        """Start counting."""
        self._reset()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Sequence[Any]] = None,
        mode: str = 'train',
    ) -> None:
        """Draw a batch of a validation or a test."""
        if not self.draw or mode == 'train':
            return
        loader = getattr(runner, f'{mode}_dataloader')
        folder = self._folder(runner, val=mode == 'val')
        size = len(loader.dataset)
        self._draw_batch(runner, data_batch, outputs or [], size, folder)

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[Mapping[str, float]] = None
    ) -> None:
        """Write the last sheet and say where everything is."""
        self._finish(runner, self._folder(runner, val=True))

    def after_test_epoch(
        self, runner: Runner, metrics: Optional[Mapping[str, float]] = None
    ) -> None:
        """Write the last sheet and say where everything is."""
        self._finish(runner, self._folder(runner, val=False))

    def _folder(self, runner: Runner, val: bool) -> Optional[str]:
        """Where pictures go; None for nowhere."""
        folder = self.out_dir
        if folder is None:
            if self.show:
                return None
            folder = os.path.join(runner.log_dir, 'pictures')
        if val:
            folder = os.path.join(folder, f'val_{runner.iter:06d}')
        return folder

    def _draw_batch(
        self,
        runner: Runner,
        data_batch: Any,
        outputs: Sequence[Any],
        dataset_size: int,
        folder: Optional[str],
    ) -> None:
        rank, world_size = get_dist_info()
        chosen = []
        for index in range(len(outputs)):
            # mmengine's sampler deals images out to the processes in turn and
            # fills the last round up with images that were dealt already.
            position = self._seen * world_size + rank
            self._seen += 1
            if position >= dataset_size:
                continue
            self._counts.add(outputs[index])
            if position % self.interval == 0 and (
                self.max_images is None or position < self.max_images
            ):
                chosen.append(index)
        if not chosen:
            return
        images = batch_images(data_batch, outputs)
        for index in chosen:
            self._draw(runner, images[index], outputs[index], folder)

    def _draw(
        self, runner: Runner, image: Any, output: Any, folder: Optional[str]
    ) -> None:
        visualizer = runner.visualizer
        if not isinstance(visualizer, WSLVisualizer):
            raise TypeError(
                'WSLVisualizationHook needs the config line '
                "visualizer=dict(type='WSLVisualizer', ...), got "
                f'{type(visualizer).__name__}'
            )
        name = str(output.get('img_id', f'image_{self._seen}'))
        out_file = None
        if folder is not None:
            out_file = join_inside(folder, name, self.suffix)
        visualizer.add_datasample(
            name,
            image,
            output,
            show=self.show,
            wait_time=self.wait_time,
            out_file=out_file,
            step=runner.iter,
        )
        self._drawn += 1
        if folder is not None and self.sheet_size:
            self._rows.append(visualizer.draw_tiles(image, output))
            if len(self._rows) >= self.sheet_size:
                self._write_sheet(folder)

    def _write_sheet(self, folder: str) -> None:
        rank, world_size = get_dist_info()
        process = f'rank{rank}_' if world_size > 1 else ''
        name = f'contact_sheet_{process}{self._sheets:03d}.jpg'
        write_image(os.path.join(folder, name), contact_sheet(self._rows))
        self._sheets += 1
        self._rows = []

    def _write_counts(self, runner: Runner, folder: str) -> None:
        counts = self._counts.gather()
        if not counts.numbers or get_dist_info()[0] != 0:
            return
        meta = runner.visualizer.dataset_meta or {}
        picture = counts.draw(meta.get('classes'), meta.get('palette'))
        path = os.path.join(folder, 'counts.png')
        write_image(path, picture)
        print_log(f'counts are plotted in {path}', logger='current')

    def _finish(self, runner: Runner, folder: Optional[str]) -> None:
        if not self.draw or folder is None:
            return
        self._write_counts(runner, folder)
        if not self._drawn:
            return
        if self._rows:
            self._write_sheet(folder)
        print_log(
            f'{self._drawn} pictures and {self._sheets} contact sheets are '
            f'in {os.path.abspath(folder)}',
            logger='current',
        )
