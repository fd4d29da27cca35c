"""Tests of the checks that every run makes."""

import math
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmwsl.apis import load_config
from mmwsl.engine.hooks import RunCheckHook
from mmwsl.engine.hooks.run_check_hook import (
    ShownClasses,
    absent_classes,
    check_all_images,
    check_batches,
    check_counting,
)
from mmwsl.registry import DATASETS
from mmwsl.utils.checkpoints import read_checkpoint
from stage1_data import CONFIG_DIR, config_files


class Line(BaseModel):
    """A linear model whose loss is its output, or a number it is given."""

    def __init__(self, losses: Sequence[float] = (), outputs: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(2, outputs)
        self.losses = list(losses)

    def forward(self, inputs: Any, mode: str = 'tensor') -> Any:
        loss = self.linear(torch.stack(list(inputs))).mean()
        if self.losses:
            loss = loss * self.losses.pop(0)
        return {'loss': loss} if mode == 'loss' else [loss]


class Points(List[Dict[str, Tensor]]):
    """Points with names of classes."""

    def __init__(self, number: int = 4, classes: Sequence[str] = ()) -> None:
        super().__init__({'inputs': torch.ones(2)} for _ in range(number))
        self.metainfo = {'classes': classes} if classes else {}


def runner(work_dir: Path, **changes: Any) -> Runner:
    """Build a run of two batches an epoch."""
    cfg: Dict[str, Any] = dict(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(Points(), batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', max_keep_ckpts=1, interval=1
            )
        ),
        custom_hooks=[RunCheckHook()],
        experiment_name=f'{work_dir}-{len(changes)}-{id(changes)}',
        log_level='ERROR',
    )
    return Runner(**{**cfg, **changes})


def saved(work_dir: Path) -> List[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_stops_at_a_loss_that_is_not_finite(
    tmp_path: Path, value: float
) -> None:
    model = Line([1, 1, 1, value, 1, 1])
    with pytest.raises(ValueError, match='loss.*epoch 2.*iteration 4'):
        runner(tmp_path, model=model).train()
    assert saved(tmp_path) == ['epoch_1.pth']


@pytest.mark.parametrize('by_epoch', [True, False])
def test_never_saves_broken_weights(tmp_path: Path, by_epoch: bool) -> None:
    # The last loss before a checkpoint may be finite, its step is not.
    wrapper = dict(optimizer=dict(type='SGD', lr=1e38))
    model = Line([0, 0, 0, 1e3])
    checkpoint = dict(
        type='CheckpointHook', max_keep_ckpts=1, interval=1 + (not by_epoch)
    )
    cfg = dict(by_epoch=True, max_epochs=3)
    with pytest.raises(ValueError, match='linear.*not finite.*epoch'):
        runner(
            tmp_path,
            model=model,
            optim_wrapper=wrapper,
            train_cfg=cfg if by_epoch else dict(by_epoch=False, max_iters=6),
            default_hooks=dict(
                checkpoint={**checkpoint, 'by_epoch': by_epoch}
            ),
        ).train()
    assert saved(tmp_path) == ['epoch_1.pth' if by_epoch else 'iter_2.pth']


def test_an_epoch_without_iterations(tmp_path: Path) -> None:
    loader = DataLoader(Points(3), batch_size=4, drop_last=True)
    with pytest.raises(ValueError, match='3 images.* 4 .*drop_last'):
        runner(tmp_path, train_dataloader=loader).train()
    assert not saved(tmp_path)
    check_batches(DataLoader(Points(4), batch_size=4, drop_last=True))
    with pytest.raises(ValueError, match='train_cfg'):
        runner(tmp_path, train_cfg=dict(by_epoch=True, max_epochs=0)).train()


def test_shares_of_processes_are_named() -> None:
    share: Any = range(5)
    loader = DataLoader(Points(10), 8, sampler=share, drop_last=True)
    with pytest.raises(ValueError, match='10 images, 5 a process.* 8'):
        check_batches(loader)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint after two epochs, with a schedule."""
    runner(
        tmp_path / 'first',
        train_cfg=dict(by_epoch=True, max_epochs=2),
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
    ).train()
    return tmp_path / 'first' / 'epoch_2.pth'


def resume(checkpoint: Path, content: Any = None, **changes: Any) -> Runner:
    """Go on from a checkpoint with other content or another config."""
    path = checkpoint.with_name('changed.pth')
    torch.save(
        read_checkpoint(checkpoint) if content is None else content, path
    )
    schedule = dict(type='MultiStepLR', milestones=[1])
    cfg = dict(param_scheduler=schedule, load_from=str(path), resume=True)
    second = runner(checkpoint.parents[1] / 'second', **{**cfg, **changes})
    second.train()
    return second


def test_resumes_what_fits(checkpoint: Path) -> None:
    assert resume(checkpoint).iter == 6


@pytest.mark.parametrize(
    'key', ['optimizer', 'param_schedulers', 'message_hub', 'meta']
)
def test_refuses_to_resume_from_a_part(checkpoint: Path, key: str) -> None:
    content = read_checkpoint(checkpoint)
    content.pop(key)
    with pytest.raises(ValueError, match=f'changed.pth.*{key}'):
        resume(checkpoint, content)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('meta', [1]),
        ('meta.epoch', 'two'),
        ('meta.iter', -1),
        ('meta.dataset_meta', ['cat']),
        ('meta.dataset_meta', dict(classes=3)),
        ('meta.dataset_meta', dict(classes=[1, 2])),
        ('state_dict', [1]),
        ('state_dict', {'model': torch.ones(1), 1: torch.ones(1)}),
        ('state_dict.linear.bias', 'text'),
        ('message_hub', None),
        ('message_hub.log_scalars', 1),
        ('optimizer', None),
        ('optimizer.state', {0: 1}),
        ('optimizer.state', {0: dict(momentum_buffer=torch.ones(9))}),
        ('optimizer.param_groups', [1]),
        ('optimizer.param_groups', 3),
        ('param_schedulers', None),
        ('param_schedulers', [1]),
    ],
)
def test_forged_parts_are_named(
    checkpoint: Path, key: str, value: Any
) -> None:
    content = read_checkpoint(checkpoint)
    first, _, second = key.partition('.')
    name = '' if second else first
    if second:
        content[first][second] = value
    else:
        content[first] = value
    with pytest.raises(ValueError, match=f'changed.pth.*{name or second}'):
        resume(checkpoint, content)


def test_the_state_of_adam_is_needed(checkpoint: Path) -> None:
    adam = dict(optim_wrapper=dict(optimizer=dict(type='Adam')))
    content = read_checkpoint(checkpoint)
    model = torch.nn.Linear(2, 1)
    content['optimizer'] = torch.optim.Adam(model.parameters()).state_dict()
    with pytest.raises(ValueError, match=r'changed.pth.*optimizer\.state'):
        resume(checkpoint, content, **adam)


@pytest.mark.parametrize('key', ['linear.bias', 'extra'])
@pytest.mark.parametrize('resumes', [True, False])
def test_tensors_that_do_not_fit(
    checkpoint: Path, key: str, resumes: bool
) -> None:
    content = read_checkpoint(checkpoint)
    state = content['state_dict']
    if state.pop(key, None) is None:
        state[key] = torch.ones(1)
        if not resumes:
            resume(checkpoint, content, resume=False)
            return
    with pytest.raises(ValueError, match=f'changed.pth.*{key}'):
        resume(checkpoint, content, resume=resumes)
    if not resumes:
        hooks = [RunCheckHook(partial_load=True)]
        resume(checkpoint, content, resume=False, custom_hooks=hooks)


def test_begins_with_a_checkpoint_for_other_classes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: List[str] = []
    monkeypatch.setattr(
        'mmwsl.engine.hooks.run_check_hook.print_log',
        lambda text, **_: lines.append(text),
    )
    points = Points(classes=['cat', 'dog', 'emu'])
    changes: Dict[str, Any] = dict(
        resume=False,
        train_dataloader=DataLoader(points, batch_size=2),
        val_dataloader=DataLoader(points),
        val_cfg={},
        val_evaluator=[],
    )
    content = read_checkpoint(checkpoint)
    content['meta']['dataset_meta'] = dict(classes=['cat', 'fox'])
    model = Line(outputs=3)
    start = model.linear.weight.detach().clone()
    still = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    resume(checkpoint, content, model=model, **still, **changes)
    assert model.linear.weight.equal(start)
    assert len(lines) == 1
    assert 'changed.pth' in lines[0]
    assert 'linear.weight ([1, 2] there, [3, 2] here)' in lines[0]
    # A head for as many classes fits, and so does every backbone.
    content['meta']['dataset_meta'] = dict(classes=['cat', 'dog', 'fox'])
    with pytest.raises(ValueError, match=r'changed.pth.*linear\.weight'):
        resume(checkpoint, content, model=Line(outputs=3), **changes)
    content['meta']['dataset_meta'] = dict(classes=['cat', 'fox'])
    content['state_dict'].update(
        {'backbone.weight': torch.ones(1, 2), 'backbone.bias': torch.ones(1)}
    )
    model = Line(outputs=3)
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r'changed.pth.*backbone\.weight'):
        resume(checkpoint, content, model=model, **changes)
    hooks = [RunCheckHook(partial_load=True)]
    resume(checkpoint, content, model=model, custom_hooks=hooks, **changes)


@pytest.mark.parametrize(
    ('changes', 'word'),
    [
        (dict(optim_wrapper=dict(optimizer=dict(type='Adam'))), 'optimizer'),
        (
            dict(param_scheduler=[dict(type='ConstantLR', factor=1.0)] * 2),
            'param_schedulers',
        ),
        (dict(param_scheduler=dict(type='ExponentialLR', gamma=1.0)), 'Expon'),
        (dict(model=Line(outputs=2)), 'linear'),
    ],
)
def test_resumes_no_other_run(
    checkpoint: Path, changes: Any, word: str
) -> None:
    with pytest.raises(ValueError, match=f'changed.pth.*{word}'):
        resume(checkpoint, **changes)


def test_weights_of_a_checkpoint_are_finite(checkpoint: Path) -> None:
    content = read_checkpoint(checkpoint)
    content['state_dict']['linear.bias'].fill_(math.nan)
    with pytest.raises(ValueError, match=r'changed.pth.*linear\.bias'):
        resume(checkpoint, content)


@pytest.mark.parametrize('key', ['config', 'cfg'])
def test_text_of_a_checkpoint_is_not_executed(
    checkpoint: Path, tmp_path: Path, key: str
) -> None:
    content = read_checkpoint(checkpoint)
    path = tmp_path / 'harm'
    content['meta'][key] = f'open({str(path)!r}, "w")'
    assert resume(checkpoint, content).iter == 6
    assert not path.exists()


@pytest.mark.parametrize('classes', ['same', 'any'])
def test_order_of_classes_in_a_checkpoint(
    checkpoint: Path, classes: str
) -> None:
    content = read_checkpoint(checkpoint)
    content['meta']['dataset_meta'] = dict(classes=('cat', 'dog'))
    path = checkpoint.with_name('named.pth')
    torch.save(content, path)
    test = Runner(
        model=Line(),
        work_dir=str(checkpoint.parent),
        test_dataloader=DataLoader(Points(classes=['dog', 'cat'])),
        test_cfg={},
        test_evaluator=[],
        custom_hooks=[RunCheckHook(classes)],
        load_from=str(path),
        experiment_name=f'{path}-{classes}',
        log_level='ERROR',
    )
    if classes == 'any':
        test.test()
        return
    with pytest.raises(ValueError, match='named.*cat, dog there, dog, cat'):
        test.test()


def test_classes_that_no_image_shows(tmp_path: Path) -> None:
    for name in ('pear', 'fig'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '1.jpg').touch()
    config = dict(type='FolderDataset', data_root=str(tmp_path))
    names = dict(classes=['apple', 'fig', 'kiwi', 'pear'])
    dataset = DATASETS.build({**config, 'metainfo': names})
    assert absent_classes(dataset) == ['apple', 'kiwi']
    assert absent_classes(ConcatDataset([dataset, dataset])) == [
        'apple',
        'kiwi',
    ]
    assert absent_classes(DATASETS.build(config)) == []
    # Pictures that are drawn, and data sets without labels.
    toy = dict(type='ToyDataset', num_images=1)
    assert absent_classes(DATASETS.build(toy)) == []
    assert absent_classes(Points(classes=['a'])) == []


def test_a_training_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: List[str] = []
    monkeypatch.setattr(
        'mmwsl.engine.hooks.run_check_hook.print_log',
        lambda text, **_: said.append(text),
    )
    monkeypatch.setattr(
        'mmwsl.engine.hooks.run_check_hook.absent_classes', lambda _: ['b']
    )
    loader = DataLoader(Points(4, ['a', 'b']), batch_size=2)
    runner(tmp_path, train_dataloader=loader).train()
    (line,) = said
    assert line.startswith('no training image shows b (1 of 2 classes)')


def test_order_of_classes_in_training_and_validation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='training set.*cat, dog.*dog, cat'):
        runner(
            tmp_path,
            train_dataloader=DataLoader(Points(classes=['cat', 'dog'])),
            val_dataloader=DataLoader(Points(classes=['dog', 'cat'])),
            val_cfg={},
            val_evaluator=[],
        ).train()
    with pytest.raises(ValueError, match='classes'):
        RunCheckHook(classes='sorted')


@pytest.mark.parametrize('split', ['val', 'test'])
def test_evaluation_sees_every_image(tmp_path: Path, split: str) -> None:
    def build(number: int) -> Runner:
        loader = DataLoader(Points(number), batch_size=2, drop_last=True)
        changes = {
            f'{split}_dataloader': loader,
            f'{split}_cfg': {},
            f'{split}_evaluator': [],
            'load_from': None,
        }
        return runner(tmp_path / str(number), **changes)

    with pytest.raises(
        ValueError, match=f'{split}_dataloader: drop_last.*1 of 5'
    ):
        getattr(build(5), 'train' if split == 'val' else 'test')()
    # No image is lost.
    check_all_images(
        build(4).build_val_loop({})
        if split == 'val'
        else build(4).build_test_loop({})
    )


def label_maps(*maps: Sequence[int]) -> List[BaseDataElement]:
    return [
        BaseDataElement(
            metainfo=dict(seg_map_path=f'{number}.png'),
            gt_sem_seg=PixelData(data=torch.tensor(values)[None, None]),
        )
        for number, values in enumerate(maps)
    ]


@pytest.mark.parametrize(
    ('maps', 'message'),
    [
        ([[0, 255], [0, 255]], '0.png: no mask shows a class: the 2 masks'),
        ([[0, 0]], '0.png: no mask'),
        ([[255, 255]], '0.png: no mask'),
        ([[0, 1], [0, 128]], '1.png: mask holds the value 128, .* 2 classes'),
    ],
)
def test_label_maps_of_one_class_are_not_scored(
    maps: List[List[int]], message: str
) -> None:
    def score() -> None:
        shown = ShownClasses()
        for sample in label_maps(*maps):
            shown.add(sample, 2)
        shown.check()

    with pytest.raises(ValueError, match=message):
        score()


def test_label_maps_without_a_class_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = label_maps([0, 255], [0, 1], [0, 0])
    model = Line()
    model.forward = lambda *_, **__: samples  # type: ignore[method-assign]
    loader = DataLoader(Points(1, classes=['background', 'crack']))
    test = runner(
        tmp_path,
        model=model,
        test_dataloader=loader,
        test_cfg={},
        test_evaluator=[],
        log_level='WARNING',
    )
    test.logger.addHandler(caplog.handler)
    test.test()
    assert '0.png: mask shows no class' in caplog.text
    assert '2 of 3' in caplog.text
    del samples[1]
    with pytest.raises(ValueError, match=r'0\.png: no mask'):
        test.test()


@pytest.mark.parametrize(
    'name', [name for name in config_files() if name.startswith('lc/')]
)
def test_configs_count_whole_images(name: str) -> None:
    check_counting(load_config(CONFIG_DIR / name))


def loaders(train: Dict[str, Any], test: Dict[str, Any]) -> Dict[str, Any]:
    inner = dict(pipeline=[dict(type='RandomApply', transforms=[train])])
    return dict(
        train_dataloader=dict(dataset=dict(dataset=inner)),
        test_dataloader=dict(dataset=dict(pipeline=[test])),
    )


def test_crops_and_sizes() -> None:
    resize = dict(type='Resize', scale=(32, 64))
    crop = dict(type='mmwsl.RandomResizedCrop', scale=32)
    with pytest.raises(ValueError, match='RandomResizedCrop'):
        check_counting(loaders(crop, resize))
    with pytest.raises(ValueError, match='48 x 48.*32 x 64'):
        check_counting(loaders(resize, dict(type='Resize', scale=48)))
    check_counting(loaders(resize, resize))
