"""Train one classifier after another, each on what the former left.

Shape shorthand: K classes, (H, W) the image.
"""

import io
import math
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.dist import (
    all_reduce,
    barrier,
    broadcast_object_list,
    get_dist_info,
    is_main_process,
)
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmwsl.datasets import base_datasets, image_ids
from mmwsl.datasets.transforms import EraseRegions, LoadSaliency
from mmwsl.pseudo_labels import mine_regions, regions_to_label
from mmwsl.pseudo_labels.guard import check_place
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.pseudo_labels.regions import (
    IGNORE,
    MODES,
    check_digests,
    digest_regions,
    merge_steps,
    region_file,
    step_folder,
    write_regions,
)
from mmwsl.registry import LOOPS
from mmwsl.utils.checkpoints import read_checkpoint, unwrap
from mmwsl.utils.files import join_inside, write_lines, write_whole
from mmwsl.utils.tables import format_table

INITIAL_WEIGHTS = 'initial_weights.pth'
_KEY = 'adversarial_erasing'


@dataclass
class ErasingState:
    """Results of the steps that have ended, which checkpoints hold.

    Attributes:
        epochs: Epochs of a step.
        losses: The converged loss of each step.
        digests: Of the regions of each step that is merged.
        mean: Pixel that regions are filled with, in the order of images.
    """

    epochs: int
    losses: List[float] = field(default_factory=list)
    digests: List[str] = field(default_factory=list)
    mean: List[float] = field(default_factory=list)

    def over(self, num_steps: int) -> bool:
        """Whether no step is left, or one has been refused."""
        ended = len(self.losses)
        return ended == num_steps or ended > len(self.digests)

    def loss_jumped(self, loss: float, factor: Optional[float]) -> bool:
        """Whether a loss exceeds the first step's by a factor, if any."""
        return bool(factor and self.losses and loss > factor * self.losses[0])


@LOOPS.register_module()
class AdversarialErasingLoop(EpochBasedTrainLoop):
    """Adversarial erasing (https://arxiv.org/abs/1703.08448).

    Every step trains a classifier from the same initial weights, with a new
    optimizer and schedule, on images in which ``EraseRegions`` hides what
    the former steps found. Then each training image is seen once, erased
    alike, and the region of each given class is mined from its map. In the
    run's ``work_dir`` there are::

        regions/step_1/<image id>.npz   and so on, regions of each step
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
        for argument, good in (
            (f'num_steps={num_steps}', num_steps >= 1),
            (f'epochs={epochs}', epochs >= 1),
            (f'mode={mode!r}', mode in MODES),
            (f'fraction={fraction}', 0 < fraction <= 1),
            (
                f'stop_factor={stop_factor}',
                stop_factor is None or stop_factor > 1,
            ),
        ):
            if not good:
                raise ValueError(
                    f'AdversarialErasingLoop: {argument} is out of range'
                )
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
            _split_pipeline(dataset)[1]
            for loader in (self.dataloader, self.predict_dataloader)
            for dataset in base_datasets(loader.dataset)
        ]
        for eraser in self._erasers:
            eraser.watch(self.root)
        self.state = ErasingState(epochs)
        self._img_ids: List[str] = []
        self._initial: Dict[str, Tensor] = {}

    @property
    def _step_iters(self) -> int:
        return self.epochs * len(self.dataloader)

    def run(self) -> nn.Module:
        """Train and mine step after step; write what they found."""
        self.runner.call_hook('before_train')
        self._begin()
        while not self.state.over(self.num_steps):
            self._train_step()
            self._end_step()
        self._write_results()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _begin(self) -> None:
        """Check the run; begin anew or where a checkpoint was written."""
        for hook in self.runner.hooks:
            if isinstance(hook, (EarlyStoppingHook, EMAHook)):
                raise ValueError(
                    'AdversarialErasingLoop does not go with '
                    f'{type(hook).__name__}, which would not start anew with '
                    'each step'
                )
        self._img_ids = image_ids(self.predict_dataloader.dataset)
        if self._epoch == 0:
            self._begin_anew()
        else:
            self._resume()
        self._publish_state()
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model,
            self._iter - len(self.state.losses) * self._step_iters,
            self._step_iters,
        )

    def _begin_anew(self) -> None:
        """Scan the images and keep the weights that steps begin with."""
        trained = image_ids(self.dataloader.dataset)
        missing = sorted(set(trained) - set(self._img_ids))
        if missing:
            raise ValueError(
                f'AdversarialErasingLoop: {len(missing)} images of '
                'train_dataloader are not in predict_dataloader, the first '
                f'is {missing[0]}'
            )
        self.state.mean = _of_first_process(self._scan_dataset)
        self._initial = self._save_weights(INITIAL_WEIGHTS)
        text = ', '.join(f'{value:.2f}' for value in self.state.mean)
        self.runner.logger.info(f'Mean pixel of the data set: {text}')

    def _scan_dataset(self) -> List[float]:
        """Load all images and saliency maps; return the mean pixel (3,)."""
        total, pixels = np.zeros(3), 0
        for dataset in base_datasets(self.predict_dataloader.dataset):
            loading = _split_pipeline(dataset)[0]
            for index in range(len(dataset)):
                results = dataset.get_data_info(index)
                for transform in loading:
                    results = transform(results)
                if self.saliency is not None:
                    results = self.saliency(results)
                img = results['img']
                total += img.reshape(-1, img.shape[-1]).sum(axis=0)
                pixels += img.shape[0] * img.shape[1]
        mean: List[float] = (total / max(pixels, 1)).tolist()
        return mean

    def _resume(self) -> None:
        """Take the state from the checkpoint, and check the run's files."""
        kept = self.runner.message_hub.runtime_info.get(_KEY)
        if kept is None or kept['epochs'] != self.epochs:
            raise ValueError(
                'The checkpoint is not from AdversarialErasingLoop with '
                f'epochs={self.epochs}: it cannot be resumed with it.'
            )
        self.state = ErasingState(**kept)
        path = os.path.join(self.runner.work_dir, INITIAL_WEIGHTS)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'{path}: is missing; a run of adversarial erasing is '
                'resumed in its own folder, which holds the weights that '
                'every step begins with'
            )
        self._initial = read_checkpoint(path)
        _of_first_process(
            check_digests, self.root, self.state.digests, self._img_ids
        )

    def _publish_state(self) -> None:
        """Give the state to the data sets and to checkpoints."""
        for eraser in self._erasers:
            eraser.set_steps(len(self.state.digests), self.state.mean)
        self.runner.message_hub.update_info(_KEY, asdict(self.state))

    def _train_step(self) -> None:
        """Train the classifier of a step."""
        while self._epoch < (len(self.state.losses) + 1) * self.epochs:
            self.run_epoch()
            self._decide_current_val_interval()
            due = (
                self._epoch % self.val_interval == 0
                or self._epoch == self._max_epochs
            )
            if due and self._epoch >= self.val_begin and self.runner.val_loop:
                self.runner.val_loop.run()

    def _end_step(self) -> None:
        """Mine the regions of a trained classifier, or refuse them."""
        history = self.runner.message_hub.get_scalar('train/loss')
        loss = float(history.mean(len(self.dataloader)))
        step = len(self.state.losses) + 1
        if not math.isfinite(loss):
            raise ValueError(f'The loss of step {step} is {loss}.')
        jumped = self.state.loss_jumped(loss, self.stop_factor)
        self._save_weights(f'step_{step}.pth')
        if not jumped:
            self.state.digests.append(self._mine(step))
        self.state.losses.append(loss)
        self._add_scalars(
            {
                'erasing/number': step,
                'erasing/converged_loss': loss,
                'erasing/merged': int(not jumped),
            }
        )
        self.runner.logger.info(
            f'Step {step} of adversarial erasing: converged loss {loss:.4f}'
            + ('; it jumped, so its regions are left out' if jumped else '')
        )
        self._publish_state()
        if not self.state.over(self.num_steps):
            self._restart()

    @torch.no_grad()
    def _mine(self, step: int) -> str:
        """Write the regions of a step and return their digest."""
        folder = step_folder(self.root, step)
        model = self.runner.model
        model.eval()
        for batch in self.predict_dataloader:
            # In the training's precision.
            with self.runner.optim_wrapper.optim_context(model):
                samples = model.val_step(batch)
            for sample in samples:
                path = region_file(folder, sample.img_id)
                write_regions(path, *self._sample_regions(sample))
        barrier()
        return str(_of_first_process(digest_regions, folder, self._img_ids))

    def _sample_regions(self, sample: Any) -> Tuple[np.ndarray, np.ndarray]:
        """Return an image's regions bool (K, H, W) and their classes (K,)."""
        labels = sample.pred_map_labels.cpu().numpy()
        maps = sample.pred_maps.data.cpu().numpy()
        if not len(sample.gt_label):
            # Its maps are those of the predicted classes.
            labels, maps = labels[:0], maps[:0]
        elif sorted(labels.tolist()) != sorted(sample.gt_label.tolist()):
            raise ValueError(
                f'{sample.img_id}: AdversarialErasingLoop needs maps of the '
                "given classes: set model.head.keep='given'"
            )
        regions = np.zeros(maps.shape, bool)
        for region, plane in zip(regions, maps):
            region[:] = mine_regions(plane, self.mode, self.fraction)
        return regions, labels

    def _save_weights(self, name: str) -> Dict[str, Tensor]:
        """Write the model's weights to ``work_dir``; return a copy."""
        state = unwrap(self.runner.model).state_dict()
        weights = {k: v.detach().cpu().clone() for k, v in state.items()}
        if is_main_process():
            buffer = io.BytesIO()
            torch.save(weights, buffer)
            path = os.path.join(self.runner.work_dir, name)
            write_whole(path, buffer.getvalue())
        barrier()
        return weights

    def _restart(self) -> None:
        """Reset the weights, the optimizer and the schedule."""
        runner = self.runner
        model = unwrap(runner.model)
        model.load_state_dict(self._initial)
        model.zero_grad(set_to_none=True)
        # Learning rates are scaled before schedulers note their start.
        runner.param_schedulers = None
        runner.optim_wrapper = runner.build_optim_wrapper(
            runner.cfg.optim_wrapper
        )
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        schedulers = runner.cfg.get('param_scheduler')
        if schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(schedulers)
        runner.optim_wrapper.initialize_count_status(
            runner.model, 0, self._step_iters
        )

    def _write_results(self) -> None:
        """Write the unions, the label maps and the table."""
        rank, world_size = get_dist_info()
        merged = len(self.state.digests)
        counts = torch.zeros(3, dtype=torch.int64)
        for img_id in self._img_ids[rank::world_size]:
            counts += torch.tensor(self._write_union(img_id, merged))
        all_reduce(counts)
        self._report(counts.tolist())
        barrier()

    def _write_union(self, img_id: str, steps: int) -> List[int]:
        """Write an image's merged regions and, with saliency, label map.

        Returns the numbers of its pixels that are labelled, that are
        foreground, and of all of them; zeros without a label map.
        """
        regions, labels = merge_steps(self.root, steps, img_id)
        path = region_file(os.path.join(self.root, 'union'), img_id)
        write_regions(path, regions, labels)
        if self.saliency is None:
            return [0, 0, 0]
        entry = dict(img_id=img_id, ori_shape=regions.shape[1:])
        saliency = self.saliency(entry)['saliency']
        label = regions_to_label(
            regions, labels, saliency, self.saliency_threshold
        )
        folder = os.path.join(self.runner.work_dir, 'labels')
        palette = self.dataloader.dataset.metainfo.get('palette')
        write_label_map(join_inside(folder, img_id, '.png'), label, palette)
        known = label != IGNORE
        return [int(known.sum()), int((known & (label > 0)).sum()), label.size]

    def _report(self, counts: List[int]) -> None:
        """Write the table of steps, and log it and shares of pixels."""
        losses, merged = self.state.losses, len(self.state.digests)
        scalars: Dict[str, float] = {'erasing/merged_steps': merged}
        lines, rows = ['step,converged_loss,merged'], []
        for step, loss in enumerate(losses, 1):
            good = step <= merged
            ratio = f'{loss / losses[0]:.2f}' if losses[0] else '-'
            scalars[f'erasing/loss_{step}'] = loss
            lines.append(f'{step},{loss:.6f},{int(good)}')
            rows.append(
                [str(step), f'{loss:.4f}', ratio, 'yes' if good else 'no']
            )
        labelled, foreground, total = counts
        if total:
            scalars['labelled'] = round(100 * labelled / total, 2)
            scalars['foreground'] = round(100 * foreground / total, 2)
        self._add_scalars(scalars)
        if is_main_process():
            write_lines(os.path.join(self.root, 'steps.csv'), lines)
        header = ['step', 'converged loss', 'of the first one', 'merged']
        table = format_table(header, rows)
        self.runner.logger.info(f'Adversarial erasing:\n{table}')

    def _add_scalars(self, scalars: Dict[str, float]) -> None:
        self.runner.visualizer.add_scalars(
            scalars,
            step=self._iter,
            file_path=f'{self.runner.timestamp}.json',
        )


def _of_first_process(function: Callable, *args: Any) -> Any:
    """Return to all processes what a function returns in the first one."""
    found = [function(*args) if is_main_process() else None]
    broadcast_object_list(found)
    return found[0]


def _split_pipeline(dataset: Any) -> Tuple[List[Any], EraseRegions]:
    """Return what loads an image, and the transform that erases in it."""
    transforms = list(getattr(dataset.pipeline, 'transforms', []))
    places = [isinstance(item, EraseRegions) for item in transforms]
    if not any(places):
        raise ValueError(
            'AdversarialErasingLoop: the pipelines of train_dataloader and '
            "predict_dataloader need dict(type='EraseRegions') after the "
            'image is loaded'
        )
    place = places.index(True)
    for transform in transforms[:place]:
        name = type(transform).__name__
        if not name.startswith('Load'):
            raise ValueError(
                'AdversarialErasingLoop: EraseRegions must come right after '
                f'the image is loaded, but {name} comes before it'
            )
    return transforms[:place], transforms[place]
