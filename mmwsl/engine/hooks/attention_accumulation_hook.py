"""Accumulate class maps while a classifier trains."""

import os
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmwsl.datasets import base_datasets, image_ids
from mmwsl.models.heads import CAMHead
from mmwsl.pseudo_labels.attention import (
    Attention,
    attention_maps,
    pack_attention,
    unpack_attention,
    write_attention,
)
from mmwsl.registry import HOOKS
from mmwsl.utils.arrays import unflip
from mmwsl.utils.checkpoints import unwrap

# Parts of names of transforms after which a map no longer lies on its image.
# Flips are undone if samples say so.
_MOVING = re.compile(
    'crop|affine|rotate|perspective|shear|translate|expand|mosaic|mixup|'
    'cutmix|pad'
)


@HOOKS.register_module()
class AttentionAccumulationHook(Hook):
    """Accumulate attention during training, as OA-CAM does.

    From the second epoch on, the class maps of every training step are
    rectified, divided by their maximum and fused by the maximum, per image
    and present class, if the classifier believes in the class
    (https://arxiv.org/abs/2103.14581; see
    :func:`mmwsl.pseudo_labels.accumulate_attention`). After the last epoch
    they are written to one file, in single precision and keyed by image id.

    The maps are those that the head records in its loss, whatever head it
    is; its ``scores`` pools them. What was accumulated is part of every
    checkpoint, so a resumed run goes on with it, and the processes of a
    distributed run are merged after every epoch.

    Maps can be fused only if they always lie on their image alike: the
    pipeline must not crop or pad, inputs must have one size, and flips must
    reach the samples' meta information (``flip_direction``), by which they
    are undone.

    Args:
        out_file: File to write; by default ``attention.npz`` in the run's
            folder.
        start_epoch: First epoch, counted from 0, whose maps are taken.
        min_prob: Probability from which a map is fused.
    """

    # Before CheckpointHook, which has VERY_LOW.
    priority = 'NORMAL'

    def __init__(
        self,
        out_file: Optional[str] = None,
        start_epoch: int = 1,
        min_prob: float = 0.1,
    ) -> None:
        self.out_file = out_file
        self.start_epoch = start_epoch
        self.min_prob = min_prob
        self.attention: Attention = {}
        # Maps of the last epoch that are used where there is nothing else.
        self._doubted: Attention = {}

    def before_train(self, runner: Runner) -> None:
        """Check that maps of a run fit together and are recorded."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'AttentionAccumulationHook needs an epoch-based training: '
                'set train_cfg = dict(by_epoch=True, max_epochs=...).'
            )
        datasets = list(base_datasets(runner.train_dataloader.dataset))
        for dataset in datasets:
            _check_pipeline(dataset)
        if len(datasets) > 1:
            image_ids(runner.train_dataloader.dataset)
        model = unwrap(runner.model)
        head = getattr(model, 'head', None)
        if not isinstance(head, CAMHead):
            raise TypeError(
                'AttentionAccumulationHook needs a model whose head is a '
                f'CAMHead, got {type(head).__name__}.'
            )
        if len(getattr(model.data_preprocessor, 'batch_augments', ())):
            raise ValueError(
                'AttentionAccumulationHook does not go with batch_augments '
                'of the data preprocessor: the maps would be those of '
                'changed images.'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Forget the maps of the step before."""
        unwrap(runner.model).head.last_class_maps = None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict] = None,
    ) -> None:
        """Fuse the maps of one step."""
        head = unwrap(runner.model).head
        maps = head.last_class_maps
        if maps is None:
            raise TypeError(
                f'AttentionAccumulationHook: {type(head).__name__} recorded '
                'no class maps in this iteration; its loss has to call '
                'self.record(class_maps).'
            )
        last = runner.epoch == runner.max_epochs - 1
        if runner.epoch < self.start_epoch and not last:
            return
        samples = data_batch['data_samples']
        _check_sizes(data_batch['inputs'], samples)
        scores = head.scores(maps.float())
        pairs = [
            (number, int(label))
            for number, sample in enumerate(samples)
            for label in sample.gt_label
        ]
        if not pairs:
            return
        rows, labels = torch.tensor(pairs, device=maps.device).T
        chosen = maps[rows, labels]
        finite = chosen.isfinite().flatten(1).all(1).tolist()
        planes = attention_maps(chosen).float().cpu().numpy()
        believed = scores[rows, labels].sigmoid() >= self.min_prob
        for (number, label), plane, good, usable in zip(
            pairs, planes, believed.tolist(), finite
        ):
            sample = samples[number]
            if not usable:
                raise ValueError(
                    f'{sample.img_id}: the map of class {label} holds values '
                    'that are not finite'
                )
            if good or last:
                store = self.attention if good else self._doubted
                seen = unflip(plane, sample.get('flip_direction'))
                _fuse(store, sample.img_id, label, seen)

    def after_train_epoch(self, runner: Runner) -> None:
        """Merge the maps of all processes in the first one."""
        if get_world_size() > 1:
            gathered = all_gather_object((self.attention, self._doubted))
            self.attention, self._doubted = {}, {}
            merged = self.attention, self._doubted
            for parts in gathered if is_main_process() else ():
                for target, part in zip(merged, parts):
                    for img_id, maps in part.items():
                        for label, plane in maps.items():
                            _fuse(target, img_id, label, plane)
        for img_id, maps in self._doubted.items():
            kept = self.attention.setdefault(img_id, {})
            for label, plane in maps.items():
                kept.setdefault(label, plane)
        self._doubted = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Put the accumulated maps into the checkpoint."""
        arrays: Dict[str, Any] = dict(pack_attention(self.attention))
        arrays['ids'] = arrays['ids'].tolist()
        for key in ('counts', 'labels', 'shapes', 'values'):
            arrays[key] = torch.from_numpy(arrays[key])
        checkpoint['attention'] = arrays

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Take the maps of a run that is resumed."""
        # Weights that a new run starts from have no say in its attention.
        if not runner._resume or not is_main_process():
            return
        if 'attention' not in checkpoint:
            raise ValueError(
                'The checkpoint holds no accumulated attention: it is from a '
                'run without AttentionAccumulationHook and cannot be resumed '
                'with it.'
            )
        self.attention = unpack_attention(checkpoint['attention'])

    def after_train(self, runner: Runner) -> None:
        """Write the file."""
        if is_main_process():
            path = self.out_file or os.path.join(
                runner.work_dir, 'attention.npz'
            )
            write_attention(path, self.attention)
            runner.logger.info(
                f'Accumulated attention of {len(self.attention)} images: '
                f'{path}'
            )


def _fuse(
    store: Attention, img_id: str, label: int, plane: np.ndarray
) -> None:
    """Take the maximum of what is stored and a new map."""
    kept = store.setdefault(img_id, {}).get(label)
    if kept is None:
        store[img_id][label] = plane.copy()
        return
    if kept.shape != plane.shape:
        raise ValueError(
            f'{img_id}: the map has {plane.shape[0]} x {plane.shape[1]} '
            f'cells, but an earlier one had {kept.shape[0]} x '
            f'{kept.shape[1]}; the pipeline must resize every image to one '
            'size.'
        )
    # Maps from a checkpoint may be read-only, so not in place.
    store[img_id][label] = np.maximum(kept, plane)


def _check_pipeline(dataset: Any) -> None:
    """Refuse transforms that move the picture in its frame."""
    transforms = list(_flat([getattr(dataset, 'pipeline', None)]))
    names = [type(transform).__name__ for transform in transforms]
    for name in names:
        if _MOVING.search(name.lower()):
            raise ValueError(
                f'AttentionAccumulationHook: {name} in the training '
                'pipeline moves the picture in its frame, so that the maps '
                'of different epochs would not fit together; resize to one '
                'size instead.'
            )
    flips = [name for name in names if 'flip' in name.lower()]
    keys = [getattr(transform, 'meta_keys', None) for transform in transforms]
    if flips and 'flip_direction' not in next(filter(None, keys[::-1]), ()):
        raise ValueError(
            f'AttentionAccumulationHook: {flips[0]} in the training pipeline '
            'can be undone only if PackWSLInputs has flip_direction among '
            'its meta_keys.'
        )
    if len(flips) > 1:
        raise ValueError(
            f'AttentionAccumulationHook: {flips[1]} in the training pipeline '
            'hides what the flip before it did; flip once, in one of several '
            'directions.'
        )


def _flat(transforms: Sequence[Any]) -> Iterator[Any]:
    """Yield transforms and those inside them, as RandomApply has them."""
    for transform in transforms:
        yield transform
        inner = getattr(transform, 'transforms', ())
        yield from _flat(getattr(inner, 'transforms', inner))


def _check_sizes(inputs: Any, samples: Sequence[Any]) -> None:
    """Refuse batches whose images would be padded."""
    shapes: List[Tuple[int, ...]] = [tuple(x.shape[-2:]) for x in inputs]
    for sample, shape in zip(samples, shapes):
        if shape != shapes[0]:
            raise ValueError(
                f'{sample.img_id}: the input is {shape[1]} x {shape[0]} '
                f'pixels, but another one of the batch {shapes[0][1]} x '
                f'{shapes[0][0]}; AttentionAccumulationHook needs inputs of '
                'one size: use Resize without keep_ratio.'
            )
