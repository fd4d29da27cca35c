"""Training one classifier after another, each on what is left."""

import math
import os
from typing import Any, Dict, List, Optional, Union

import torch
from mmengine.dist import (
    all_reduce,
    barrier,
    broadcast_object_list,
    get_dist_info,
    is_main_process,
)
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.datasets.unique_ids import image_ids
from mmwsl.engine.loops.erasing_checks import (
    check_arguments,
    check_hooks,
    check_same_images,
)
from mmwsl.engine.loops.erasing_data import find_erasers, survey
from mmwsl.engine.loops.erasing_files import sample_regions, write_merged
from mmwsl.engine.loops.erasing_report import (
    result_scalars,
    steps_csv,
    steps_table,
)
from mmwsl.engine.loops.erasing_state import ErasingState, resumed_state
from mmwsl.engine.loops.fresh_start import (
    INITIAL_WEIGHTS,
    load_initial_weights,
    restart,
    save_weights,
)
from mmwsl.pseudo_labels.guard import check_place
from mmwsl.pseudo_labels.regions import (
    check_digests,
    digest_regions,
    region_file,
    step_folder,
    write_regions,
)
from mmwsl.registry import LOOPS
from mmwsl.utils.files import write_whole


@LOOPS.register_module()
class AdversarialErasingLoop(EpochBasedTrainLoop):
    """Adversarial erasing (https://arxiv.org/abs/1703.08448).

    Every step trains a classifier from the same initial weights, with a new
    optimizer and schedule, on images in which ``EraseRegions`` hides what
    the former steps found. Then each training image is seen once, erased
    alike, and the region of each given class is mined from its map. In the
    run's ``work_dir`` there are::

        regions/step_1/<image id>.npz   and so on, see regions.py
        regions/union/<image id>.npz    of the merged steps
        regions/steps.csv               the converged loss of each step
        labels/<image id>.png           label maps, with saliency
        initial_weights.pth             what every step begins with
        step_1.pth                      and so on, the trained classifiers

    The converged loss of a step is its mean over the step's last epoch. It
    rises from step to step and jumps when most of the objects are hidden:
    with ``stop_factor`` a step whose loss exceeds the first one's by that
    factor is the last, and what it would find is not merged.

    Schedules are those of one step, so give them their own ends
    (``T_max``). Whichever checkpoint a run is resumed from, it ends as if
    it had never been broken off.

    Shape shorthand: K classes, (H, W) the image.

    Args:
        runner: The runner.
        dataloader: The training data, with ``EraseRegions``.
        num_steps: Most steps.
        epochs: Epochs of each step.
        predict_dataloader: Config of the data that regions are mined of:
            the training images, in order, with ``EraseRegions``, each as a
            whole.
        mode: 'top' or 'relative', see
            :func:`mmwsl.pseudo_labels.mine_regions`.
        fraction: Share of the pixels, or how far below the maximum.
        stop_factor: When to stop before ``num_steps``; above 1.
        saliency_dir: Folder of ``<image id>.png``, none of ground truth;
            without it there are no label maps.
        saliency_threshold: Saliency below it is background.
        val_begin: First epoch, over all steps, that ends with a validation.
        val_interval: Epochs between validations.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Union[DataLoader, Dict],
        num_steps: int,
        epochs: int,
        predict_dataloader: Dict,
        mode: str = 'top',
        fraction: float = 0.2,
        stop_factor: Optional[float] = None,
        saliency_dir: Optional[str] = None,
        saliency_threshold: float = 0.06,
        val_begin: int = 1,
        val_interval: int = 1,
    ) -> None:
        check_arguments(num_steps, epochs, mode, fraction, stop_factor)
        if saliency_dir:
            check_place(saliency_dir)
        super().__init__(
            runner, dataloader, num_steps * epochs, val_begin, val_interval
        )
        self.num_steps = num_steps
        self.epochs = epochs
        self.mode = mode
        self.fraction = fraction
        self.stop_factor = stop_factor
        self.saliency_threshold = saliency_threshold
        self.saliency = LoadSaliency(saliency_dir) if saliency_dir else None
        self.predict_dataloader = runner.build_dataloader(
            predict_dataloader, seed=runner.seed
        )
        self.root = os.path.join(runner.work_dir, 'regions')
        self._erasers = [
            eraser
            for loader in (self.dataloader, self.predict_dataloader)
            for eraser in find_erasers(loader.dataset)
        ]
        for eraser in self._erasers:
            eraser.follow(self.root)
        self.state = ErasingState(epochs)
        self._img_ids: List[str] = []
        self._initial: Dict[str, torch.Tensor] = {}

    def run(self) -> nn.Module:
        """Train and mine step after step; write what they found."""
        self.runner.call_hook('before_train')
        self._begin()
        while not self.state.over(self.num_steps):
            while self._epoch < (len(self.state.losses) + 1) * self.epochs:
                self.run_epoch()
                self._validate()
            self._end_step()
        self._write_results()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate(self) -> None:
        self._decide_current_val_interval()
        if (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (
                self._epoch % self.val_interval == 0
                or self._epoch == self._max_epochs
            )
        ):
            self.runner.val_loop.run()

    def _begin(self) -> None:
        """Check the run, and take up what a checkpoint says of it."""
        check_hooks(self.runner.hooks)
        self._img_ids = image_ids(self.predict_dataloader.dataset)
        if self._epoch == 0:
            self._begin_anew()
        else:
            self._take_up()
        self._tell()
        step_iters = self.epochs * len(self.dataloader)
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model,
            self._iter - len(self.state.losses) * step_iters,
            step_iters,
        )

    def _begin_anew(self) -> None:
        found: List[Any] = [None]
        if is_main_process():
            trained = image_ids(self.dataloader.dataset)
            check_same_images(trained, self._img_ids)
            found = [survey(self.predict_dataloader.dataset, self.saliency)]
        broadcast_object_list(found)
        self.state.mean = found[0]
        self._initial = save_weights(self.runner, INITIAL_WEIGHTS)
        text = ', '.join(f'{value:.2f}' for value in self.state.mean)
        self.runner.logger.info(f'Mean pixel of the data set: {text}')

    def _take_up(self) -> None:
        """Go on where the checkpoint was written.

        Raises:
            FileNotFoundError: If regions or the initial weights are missing.
            ValueError: If the checkpoint does not belong to this run.
        """
        self.state = resumed_state(self.runner, self.epochs)
        self._initial = load_initial_weights(self.runner)
        if is_main_process():
            check_digests(self.root, self.state.digests, self._img_ids)
        barrier()

    def _tell(self) -> None:
        """Tell the data sets the step, and the checkpoints everything."""
        for eraser in self._erasers:
            eraser.tell(len(self.state.digests), self.state.mean)
        self.state.tell(self.runner)

    def _end_step(self) -> None:
        """Mine the regions of a trained classifier, or refuse them."""
        history = self.runner.message_hub.get_scalar('train/loss')
        loss = float(history.mean(len(self.dataloader)))
        step = len(self.state.losses) + 1
        if not math.isfinite(loss):
            raise ValueError(f'The loss of step {step} is {loss}.')
        jumped = self.state.jumps(loss, self.stop_factor)
        save_weights(self.runner, f'step_{step}.pth')
        if not jumped:
            self.state.digests.append(self._mine(step))
        self.state.losses.append(loss)
        scalars = {
            'erasing/number': step,
            'erasing/converged_loss': loss,
            'erasing/merged': int(not jumped),
        }
        self._add_scalars(scalars)
        self.runner.logger.info(
            f'Step {step} of adversarial erasing: converged loss {loss:.4f}'
            + ('; it jumped, so its regions are left out' if jumped else '')
        )
        self._tell()
        if not self.state.over(self.num_steps):
            iters = self.epochs * len(self.dataloader)
            restart(self.runner, self._initial, iters)

    @torch.no_grad()
    def _mine(self, step: int) -> str:
        """Write the regions of a step and return their digest."""
        folder = step_folder(self.root, step)
        model = self.runner.model
        model.eval()
        for batch in self.predict_dataloader:
            for sample in model.val_step(batch):
                path = region_file(folder, sample.img_id)
                regions = sample_regions(sample, self.mode, self.fraction)
                write_regions(path, *regions)
        barrier()
        digest: List[Any] = [None]
        if is_main_process():
            digest = [digest_regions(folder, self._img_ids)]
        broadcast_object_list(digest)
        return str(digest[0])

    def _write_results(self) -> None:
        """Write the unions, the label maps and the table."""
        rank, world_size = get_dist_info()
        losses, merged = self.state.losses, len(self.state.digests)
        counts = torch.tensor(
            write_merged(
                self.root,
                merged,
                self._img_ids[rank::world_size],
                os.path.join(self.runner.work_dir, 'labels'),
                self.saliency,
                self.saliency_threshold,
            )
        )
        all_reduce(counts)
        self._add_scalars(result_scalars(losses, merged, counts.tolist()))
        if is_main_process():
            path = os.path.join(self.root, 'steps.csv')
            write_whole(path, steps_csv(losses, merged).encode())
        table = steps_table(losses, merged)
        self.runner.logger.info(f'Adversarial erasing:\n{table}')
        barrier()

    def _add_scalars(self, scalars: Dict[str, float]) -> None:
        self.runner.visualizer.add_scalars(
            scalars,
            step=self._iter,
            file_path=f'{self.runner.timestamp}.json',
        )
