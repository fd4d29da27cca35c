"""Check runs before and while they train."""

import logging
import math
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set

import torch
from mmengine.dataset import BaseDataset, InfiniteSampler
from mmengine.dist import all_gather_object, is_distributed
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from mmengine.runner import BaseLoop, Runner, find_latest_checkpoint
from mmengine.structures import BaseDataElement
from torch import nn

from mmwsl.datasets import base_datasets, renumber_classes
from mmwsl.models.checks import check_channels, check_class_weights
from mmwsl.models.heads import DensityHead
from mmwsl.registry import HOOKS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.checkpoints import (
    check_form,
    first_not_finite,
    load_state,
    unwrap,
)

# In label maps: not compared.
_IGNORED = 255
CLASSES = ('same', 'by_name', 'any')
# Of optimizers that have no others: one cannot go on from another's state.
_OPTIMIZER_KEYS = ('betas', 'momentum', 'alpha', 'rho', 'etas', 'lambd')
# How what they keep of each parameter, in its shape, is called.
_LIKE_WEIGHTS = ('exp_avg', 'momentum_buffer', 'max_exp_avg', 'square_avg')
# Parts of names of transforms that lose or double parts of an image.
_CUTTING = ('crop', 'mosaic', 'mixup', 'cutmix', 'affine', 'translate')


@HOOKS.register_module()
class RunCheckHook(Hook):
    """Stop runs that would end with wrong numbers or lose work.

    Part of the default runtimes; ``mmwsl.apis.build_runner`` adds it to
    other runs. It refuses

    - a training whose epochs have no iteration;
    - a loss that is not finite, weights that are not finite before a
      checkpoint is written, and checkpoints that hold such weights;
    - a checkpoint that lacks a tensor or has one of another shape, and for
      ``--resume`` also one without optimizer, schedulers or log history, or
      with those of another run. A training may begin, by ``load_from``, with
      one for other classes: it takes what fits, and a line says what it left;
    - classes of a checkpoint, or of the validation set, that are not those
      of the data in this order;
    - a validation or test set of which a data loader drops images, and one
      whose label maps, for mmseg's metrics, hold a single class or unknown
      ones. A line names those that show nothing but background.

    A line names classes that no image of the training set shows.

    Python text in a checkpoint is thrown away before mmengine executes it.

    Args:
        classes: What the classes of checkpoint and data may be: the 'same';
            in another order, in which case the labels of the test and the
            validation set are renumbered 'by_name'; or 'any'.
        partial_load: Whether a training may begin with a checkpoint that
            fills a part of the model only, whatever that is.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self, classes: str = 'same', partial_load: bool = False
    ) -> None:
        if classes not in CLASSES:
            raise ValueError(
                f'RunCheckHook: classes must be one of {", ".join(CLASSES)}, '
                f'got {classes!r}.'
            )
        self.classes = classes
        self.partial_load = partial_load
        self._truth = ShownClasses()

    def before_run(self, runner: Runner) -> None:
        """Check channels and the length of an epoch before anything else."""
        model: Any = unwrap(runner.model)
        if isinstance(getattr(model, 'head', None), DensityHead):
            check_counting(runner.cfg)
        check_class_weights(model)
        for name in ('decode_head', 'auxiliary_head'):
            if isinstance(getattr(model, name, None), nn.Module):
                neck = getattr(model, 'neck', None)
                head = getattr(model, name)
                check_channels(head, name, neck, model.backbone)
        for loop in _evaluations(runner):
            check_all_images(loop)
        if isinstance(runner._train_loop, BaseLoop):
            check_batches(runner._train_loop.dataloader)
            if runner._train_loop.max_iters < 1:
                raise ValueError(
                    'train_cfg has max_epochs or max_iters of 0: no '
                    'iteration would be run.'
                )

    def after_load_checkpoint(
        self, runner: Runner, checkpoint: Dict[str, Any]
    ) -> None:
        """Check that a checkpoint fits the run."""
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        trains = isinstance(runner._train_loop, BaseLoop)
        check_form(checkpoint, path, runner._resume)
        meta = checkpoint.get('meta') or {}
        if runner._resume:
            try:
                _check_complete(runner, checkpoint)
            except ValueError as error:
                raise ValueError(
                    f'{path} cannot be resumed from: {error}'
                ) from error
            # mmengine would execute them as configs.
            meta.pop('config', None)
            meta.pop('cfg', None)
        known = (meta.get('dataset_meta') or {}).get('classes')
        model = unwrap(runner.model)
        own = _classes(runner.train_dataloader.dataset) if trains else ()
        begins = trains and not runner._resume
        if begins:
            other = not known or len(known) != len(own)
            _take_what_fits(model, checkpoint, path, other, self.partial_load)
        load_state(model, checkpoint, path, runner._resume)
        if begins and (self.partial_load or {*(known or own)} != {*own}):
            return
        for loop in _evaluations(runner):
            self._compare(f'the checkpoint {path}', known, loop)

    def before_train(self, runner: Runner) -> None:
        """Compare the classes of the training and the validation set."""
        known = _classes(runner.train_dataloader.dataset)
        absent = absent_classes(runner.train_dataloader.dataset)
        if absent:
            print_log(
                f'no training image shows {", ".join(absent)} '
                f'({len(absent)} of {len(known)} classes): the model cannot '
                'learn them',
                logger='current',
                level=logging.WARNING,
            )
        if isinstance(runner._val_loop, BaseLoop):
            self._compare('the training set', known, runner._val_loop)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Stop at the first loss that is not finite."""
        # mmengine logs every value anyway, so none is fetched for this.
        for key, value in (outputs or {}).items():
            value = value.detach() if torch.is_tensor(value) else value
            if 'loss' in key and not math.isfinite(float(value)):
                raise ValueError(
                    f'{key} is {float(value)} in epoch {runner.epoch + 1}, '
                    f'iteration {runner.iter + 1}: the training stops, and '
                    'the checkpoints before it are kept. A smaller learning '
                    'rate, or optim_wrapper.clip_grad, may help.'
                )
        if any(_is_due(hook, runner) for hook in runner.hooks):
            self._check_weights(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check the weights before they are saved."""
        self._check_weights(runner)

    # Of validations and tests; the methods above are those of trainings.
    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Forget the label maps of another epoch."""
        self._truth = ShownClasses()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Sequence[Any]] = None,
        mode: str = 'train',
    ) -> None:
        """Look at the label maps that a segmentor is compared with."""
        loader: Any = getattr(runner, f'{mode}_dataloader')
        number = len(_classes(loader.dataset))
        for sample in outputs or ():
            # The masks of ours are compared with labels where they are read.
            if isinstance(sample, BaseDataElement) and not isinstance(
                sample, WSLDataSample
            ):
                self._truth.add(sample, number)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Refuse scores of one class alone."""
        self._truth.check()

    def _check_weights(self, runner: Runner) -> None:
        name = first_not_finite(unwrap(runner.model).state_dict())
        if name is not None:
            raise ValueError(
                f'{name} is not finite after epoch {runner.epoch + 1}, '
                f'iteration {runner.iter}: the training stops, and the '
                'checkpoints before it are kept.'
            )

    def _compare(
        self, where: str, known: Optional[Sequence[str]], loop: BaseLoop
    ) -> None:
        """Compare known classes with those of a validation or test set."""
        own = _classes(loop.dataloader.dataset)
        known = tuple(known or ())
        if self.classes == 'any' or not own or not known or known == own:
            return
        if self.classes == 'by_name':
            renumber_classes(loop.dataloader.dataset, known)
            loop.evaluator.dataset_meta = loop.dataloader.dataset.metainfo
            return
        raise ValueError(
            f'{where} and the {type(loop).__name__[:-4].lower()} set have '
            f'different classes: {_listed(known, own)} there, '
            f'{_listed(own, known)} here. Give metainfo.classes in one order, '
            'or set default_hooks.checks.classes to by_name.'
        )


def check_batches(loader: Any) -> None:
    """Refuse a training's data loader that has no batch."""
    batches = getattr(loader, 'batch_sampler', None)
    infinite = isinstance(getattr(loader, 'sampler', None), InfiniteSampler)
    if len(loader) or (infinite and len(loader.dataset)):
        return
    size = getattr(batches, 'batch_size', loader.batch_size)
    share = len(loader.sampler)
    raise ValueError(
        f'train_dataloader: {len(loader.dataset)} images'
        + (f', {share} a process,' if share != len(loader.dataset) else '')
        + f' give no batch of {size}'
        + (' (drop_last=True)' if getattr(batches, 'drop_last', 0) else '')
        + ': no iteration would be run.'
    )


def absent_classes(dataset: Any) -> List[str]:
    """Return the classes whose label no image has.

    Data sets that draw their images when these are asked for, and those of
    segmentors, are not searched.
    """
    classes = _classes(dataset)
    absent = set(range(len(classes)))
    for inner in base_datasets(dataset):
        for index in range(len(inner)):
            if not absent or not isinstance(inner, BaseDataset):
                return []
            info = BaseDataset.get_data_info(inner, index)
            if info.get('num_classes') != len(classes):
                return []
            absent -= set(info['gt_label'].tolist())
    return [classes[label] for label in sorted(absent)]


def check_all_images(loop: BaseLoop) -> None:
    """Refuse a loop of evaluation that does not see every image once."""
    loader = loop.dataloader
    name = f'{type(loop).__name__[:-4].lower()}_dataloader'
    if isinstance(getattr(loader, 'sampler', None), InfiniteSampler):
        raise ValueError(f'{name}: InfiniteSampler has no end.')
    batches = getattr(loader, 'batch_sampler', None)
    size = getattr(batches, 'batch_size', loader.batch_size)
    if getattr(batches, 'drop_last', False) and len(loader.sampler) % size:
        raise ValueError(
            f'{name}: drop_last=True drops {len(loader.sampler) % size} of '
            f'{len(loader.sampler)} images (batches of {size}); metrics need '
            'all of them.'
        )


class ShownClasses:
    """The values of the label maps that a segmentor is compared with."""

    def __init__(self) -> None:
        self.values: Set[int] = set()
        self.blank: List[str] = []
        self.images = self.num_classes = 0
        self.first = ''

    def add(self, sample: Any, num_classes: int) -> None:
        """Add the label map of a sample; refuse values that are no class."""
        # Packers of mmdet call it otherwise, and others compare no maps.
        if 'data' not in sample.get('gt_sem_seg', ()):
            return
        keys = ('seg_map_path', 'img_path', 'img_id')
        place = next((str(sample.get(k)) for k in keys if sample.get(k)), '')
        values = set(sample.gt_sem_seg.data.unique().tolist()) - {_IGNORED}
        wrong = sorted(value for value in values if value >= num_classes)
        if wrong and num_classes:
            raise ValueError(
                f'{place}: mask holds the value {wrong[0]}, but with '
                f'{num_classes} classes only 0 to {num_classes - 1} and '
                f'{_IGNORED} mean something'
            )
        self.values |= values
        self.images += 1
        self.num_classes = num_classes
        self.first = self.first or place
        if not values - {0}:
            self.blank.append(place)

    def check(self) -> None:
        """Say which maps show nothing; refuse sets that show one class."""
        parts = all_gather_object(self) if is_distributed() else [self]
        images = sum(part.images for part in parts)
        values = set().union(*(part.values for part in parts))
        if images and self.num_classes > 1 and len(values) < 2:
            raise ValueError(
                f'{self.first}: no mask shows a class: the {images} masks '
                f'hold nothing but {sorted(values) or _IGNORED} and '
                f'{_IGNORED}, which means ignored; class c is stored as its '
                'index'
            )
        blank = [name for part in parts for name in part.blank]
        if blank:
            print_log(
                f'{blank[0]}: mask shows no class beside that of index 0'
                + (f', as {len(blank)} of {images} do' if blank[1:] else ''),
                logger='current',
                level=logging.WARNING,
            )


def _evaluations(runner: Runner) -> List[BaseLoop]:
    """Return the loops of validation and test that have been built."""
    loops = (runner._val_loop, runner._test_loop)
    return [loop for loop in loops if isinstance(loop, BaseLoop)]


def _classes(dataset: Any) -> tuple:
    return tuple((getattr(dataset, 'metainfo', None) or {}).get('classes', ()))


def _listed(names: Sequence[str], others: Sequence[str]) -> str:
    """List names, of long lists what differs first."""
    if len(names) <= 12:
        return ', '.join(names)
    first = next(
        (i for i, pair in enumerate(zip(names, others)) if len({*pair}) > 1),
        min(len(names), len(others)),
    )
    shown = ', '.join(names[first : first + 5]) or 'nothing'
    return f'{len(names)} names with {shown} from number {first} on'


def _is_due(hook: Hook, runner: Runner) -> bool:
    """Whether a hook saves the weights of this iteration."""
    return (
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
    )


def _take_what_fits(
    model: nn.Module,
    checkpoint: Dict[str, Any],
    path: str,
    other_classes: bool,
    partial: bool,
) -> None:
    """Put the model's own tensors where those of a checkpoint do not fit.

    Without ``partial`` these are tensors of another shape, behind backbone
    and neck, in a checkpoint for other classes.
    """
    state = checkpoint.get('state_dict', checkpoint)
    prefix = 'module.' * any(str(key).startswith('module.') for key in state)
    left = []
    for name, own in model.state_dict().items():
        value = state.get(prefix + name)
        behind = other_classes and not name.startswith(('backbone.', 'neck.'))
        wrong = torch.is_tensor(value) and value.shape != own.shape
        if (wrong and (behind or partial)) or (value is None and partial):
            there = list(value.shape) if wrong else 'none'
            left.append(f'{name} ({there} there, {list(own.shape)} here)')
            state[prefix + name] = own
    if left:
        more = f' and {len(left) - 4} more' if left[4:] else ''
        print_log(
            f'{path}: takes what fits; {len(left)} tensors of the model stay '
            f'as they are: {", ".join(left[:4])}{more}',
            logger='current',
            level=logging.WARNING,
        )


def _check_complete(runner: Runner, checkpoint: Dict[str, Any]) -> None:
    """Refuse to resume from a checkpoint that lacks what a run needs."""
    wanted = ['meta', 'state_dict', 'message_hub', 'optimizer']
    if runner.param_schedulers:
        wanted.append('param_schedulers')
    lacking = [key for key in wanted if checkpoint.get(key) is None]
    meta = checkpoint.get('meta') or {}
    lacking += [
        f'meta.{key}' for key in ('epoch', 'iter') if meta.get(key) is None
    ]
    if lacking:
        raise ValueError(
            f'it lacks {", ".join(lacking)}. load_from takes its weights '
            'alone.'
        )
    _check_optimizer(checkpoint['optimizer'], runner.optim_wrapper)
    if runner.param_schedulers:
        _check_schedulers(
            checkpoint['param_schedulers'], runner.param_schedulers
        )


def _check_optimizer(saved: Dict[str, Any], wrapper: Any) -> None:
    """Compare the parameter groups and the state of optimizers."""
    if isinstance(wrapper, OptimWrapperDict):
        for name, inner in wrapper.optim_wrappers.items():
            _check_optimizer(saved.get(name) or {}, inner)
        return
    own = wrapper.optimizer.param_groups
    groups = saved.get('param_groups') or []
    try:
        there, here = (
            [
                (len(g['params']), *(k for k in _OPTIMIZER_KEYS if k in g))
                for g in each
            ]
            for each in (groups, own)
        )
    except (KeyError, TypeError) as error:
        raise ValueError('optimizer.param_groups is none.') from error
    if there != here:
        raise ValueError(
            'its optimizer is another one (number of parameters and settings '
            f'of each group: {there} there, {here} in optim_wrapper).'
        )
    numbers = [number for group in groups for number in group['params']]
    weights = [weight for group in own for weight in group['params']]
    states = saved.get('state') or {}
    if not states and any('betas' in group for group in own):
        raise ValueError('it lacks optimizer.state.')
    for number, weight in zip(numbers, weights):
        state = states.get(number, {})
        if not isinstance(state, dict) or any(
            value.shape != weight.shape
            for key, value in state.items()
            if key.startswith(_LIKE_WEIGHTS) and torch.is_tensor(value)
        ):
            raise ValueError(
                f'optimizer.state.{number} does not fit its parameter of '
                f'shape {tuple(weight.shape)}.'
            )


def _check_schedulers(saved: Any, own: Any) -> None:
    """Compare the kinds of schedulers."""
    if isinstance(own, dict):
        for name, schedulers in own.items():
            part = saved.get(name) if isinstance(saved, dict) else None
            _check_schedulers(part or (), schedulers)
        return
    there = [sorted(s) if isinstance(s, dict) else [] for s in saved]
    if there != [sorted(scheduler.state_dict()) for scheduler in own]:
        names = ', '.join(type(scheduler).__name__ for scheduler in own)
        raise ValueError(
            f'its {len(there)} param_schedulers are not those of the config '
            f'({names}).'
        )


def check_counting(cfg: Mapping[str, Any]) -> None:
    """Refuse configs whose transforms change counts, or sizes differ."""
    train = list(_transforms(cfg.get('train_dataloader')))
    for transform in train:
        name = str(transform.get('type'))
        if any(part in name.lower() for part in _CUTTING):
            raise ValueError(
                f'train_dataloader: {name} shows parts of images, whose '
                'counts are those of whole images; use Resize.'
            )
    if not train:
        return
    for key in ('val_dataloader', 'test_dataloader'):
        other = list(_transforms(cfg.get(key)))
        if other and _size(other) != _size(train):
            raise ValueError(
                f'{key}: images of {_size(other)}, but those of '
                f'train_dataloader are of {_size(train)}; counts grow with '
                'the size, so give Resize the same scale in both.'
            )


def _transforms(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the transforms in the config of a data loader."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _transforms(item)
    elif isinstance(node, Mapping):
        for key in ('dataset', 'datasets'):
            yield from _transforms(node.get(key))
        for item in node.get('pipeline') or ():
            yield item
            for inner in item.get('transforms') or ():
                yield from _transforms(dict(pipeline=[inner]))


def _size(transforms: Any) -> str:
    """Describe the size that the last resizing gives."""
    for transform in reversed(transforms):
        scale = transform.get('scale')
        if 'Resize' in str(transform.get('type')) and scale is not None:
            pair = (scale, scale) if isinstance(scale, int) else scale
            kept = ', ratio kept' if transform.get('keep_ratio') else ''
            return ' x '.join(map(str, pair)) + kept
    return 'their own size'
