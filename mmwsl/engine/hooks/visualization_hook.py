"""Write pictures of a test or validation run."""

from __future__ import annotations

import os
from typing import Any, List, Optional, Sequence

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmwsl.registry import HOOKS
from mmwsl.utils.files import join_inside
from mmwsl.visualization import CountScatter, WSLVisualizer
from mmwsl.visualization.drawing import Tile, contact_sheet, write_image
from mmwsl.visualization.visualizer import batch_images


@HOOKS.register_module()
class WSLVisualizationHook(Hook):
    """Write a panel for each image and contact sheets of many images.

    Pictures are named after the image ids, sub-folders included. Of several
    processes each writes its own images, and together the same as one; their
    sheets carry the number of the process. Where samples have predicted and
    true counts, ``counts.png`` plots those of the whole set, drawn or not.
    Pictures of a validation go to the sub-folder ``val_<iteration>``. The
    visualizer's other backends, such as TensorBoard's, get the panels as well.

    Args:
        draw: Whether to do anything.
        interval: Draw every ``interval``-th image.
        show: Open a window for each image.
        wait_time: Seconds that the window waits, 0 for ever.
        out_dir: Folder of the pictures; None for ``pictures`` beside the
            run's log, or for no files if ``show``.
        max_images: Draw only that many images of the dataset, the first
            ones; None for all.
        sheet_size: Images on one contact sheet; 0 for no sheets.
        suffix: Format of the panels, as file suffix.
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
        self._before_epoch()

    def _before_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Start counting."""
        self._seen = 0
        self._drawn = 0
        self._sheets = 0
        self._rows: List[Sequence[Tile]] = []
        self._counts = CountScatter()

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
        rank, world_size = get_dist_info()
        size = len(getattr(runner, f'{mode}_dataloader').dataset)
        most = size if self.max_images is None else self.max_images
        images, outputs = None, outputs or []
        for index, output in enumerate(outputs):
            # mmengine's sampler deals images out to the processes in turn and
            # fills the last round up with images that were dealt already.
            position = self._seen * world_size + rank
            self._seen += 1
            if position >= size:
                continue
            self._counts.add(output)
            if position % self.interval == 0 and position < most:
                images = images or batch_images(data_batch, outputs)
                folder = self._folder(runner, mode)
                self._draw(runner, images[index], output, folder)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Write counts and the last sheet, and say where everything is."""
        if not self.draw or mode == 'train':
            return
        folder = self._folder(runner, mode)
        if folder is None:
            return
        counts = self._counts.gather()
        if counts.numbers and get_dist_info()[0] == 0:
            meta = runner.visualizer.dataset_meta or {}
            path = os.path.join(folder, 'counts.png')
            picture = counts.draw(meta.get('classes'), meta.get('palette'))
            write_image(path, picture)
            print_log(f'counts are plotted in {path}', logger='current')
        if self._rows:
            self._write_sheet(folder)
        if self._drawn:
            print_log(
                f'{self._drawn} pictures and {self._sheets} contact sheets '
                f'are in {os.path.abspath(folder)}',
                logger='current',
            )

    def _folder(self, runner: Runner, mode: str) -> Optional[str]:
        """Return the folder of pictures; None for no files."""
        if self.out_dir is None and self.show:
            return None
        folder = self.out_dir or os.path.join(runner.log_dir, 'pictures')
        if mode == 'val':
            folder = os.path.join(folder, f'val_{runner.iter:06d}')
        return folder

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
        visualizer.add_datasample(
            name,
            image,
            output,
            show=self.show,
            wait_time=self.wait_time,
            out_file=folder and join_inside(folder, name, self.suffix),
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
