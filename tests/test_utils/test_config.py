"""Config files, and the variables that a command line replaces in them."""

import copy

import pytest
import torch
from mmengine.config import Config, ConfigDict
from PIL import Image

from mmwsl.apis import (
    dataset_config,
    init_model,
    load_config,
    read_config,
    runner_parser,
)
from mmwsl.utils.config import _epochs, fill_from_data, read_value

TEXT = """
data_root = 'data/voc'
weights = 'weights/a.pth'
number = 3
train = dict(dataset=dict(root=data_root, list=data_root + '/train.txt'))
val = [dict(root=data_root), (data_root, 'data/voc2', 'old/data/voc')]
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text(TEXT)
    return file


def test_variables_are_replaced_where_they_were_used(path):
    cfg = load_config(path, {'data_root': '/mnt/x', 'weights': 'w.pth'})
    assert cfg.data_root == '/mnt/x'
    assert cfg.train.dataset.root == '/mnt/x'
    assert cfg.train.dataset.list == '/mnt/x/train.txt'
    assert cfg.val[0].root == '/mnt/x'
    # Similar texts stay.
    assert list(cfg.val[1]) == ['/mnt/x', 'data/voc2', 'old/data/voc']
    assert cfg.model.backbone.init_cfg.checkpoint == 'w.pth'
    assert cfg.number == 3


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('My photos (2)/a', 'My photos (2)/a'),
        ('3', 3),
        ('"3"', '3'),
        ("'a, b'", 'a, b'),
        ('', ''),
        ('None', None),
        ('true', True),
        ('a,b', ['a', 'b']),
        ('[a b, (1, 2.5), [c]]', ['a b', (1, 2.5), ['c']]),
        ('"[1,2]"', [1, 2]),
    ],
)
def test_values_of_a_command_line(text, value):
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


def test_brackets_of_values_match():
    with pytest.raises(ValueError, match='brackets'):
        read_value('[1,(2]')


def test_text_variables_take_texts_alone(path):
    cfg = load_config(path, {'data_root': ['a', 'b']})
    assert cfg.train.dataset.list == cfg.data_root + '/train.txt'
    assert cfg.data_root == 'a,b'
    for value in (2007, None, True):
        with pytest.raises(ValueError, match='data_root is a text'):
            load_config(path, {'data_root': value})


def test_options_that_are_no_variables(path):
    options = {'resume': 'data/voc', 'train.dataset.root': 'here'}
    cfg = load_config(path, options)
    assert cfg.resume == 'data/voc'
    assert cfg.train.dataset.root == 'here'
    assert cfg.data_root == 'data/voc'
    assert cfg.train.dataset.list == 'data/voc/train.txt'
    # What is nested deeper wins.
    cfg = load_config(path, {**options, 'data_root': 'there'})
    assert cfg.train.dataset.root == 'here'
    assert cfg.val[0].root == 'there'


VARIABLES = """
crf = dict(iterations=10, gaussian=(3, 3))
norm = dict(eps=1)
scale = (2, 2)
labels = 'data/x'
data_root = 'data'
other = 'data'
train_pipeline = [dict(type='A', crf=crf), dict(type='B', path=labels)]
train_dataloader = dict(
    num_workers=2, persistent_workers=True, prefetch_factor=4,
    dataset=dict(pipeline=train_pipeline, root=data_root))
val_dataloader = train_dataloader
custom_hooks = [dict(type='C', crf=crf), dict(type='D', **norm)]
seg = labels + '/seg'
"""


@pytest.fixture
def variables(tmp_path):
    file = tmp_path / 'variables.py'
    file.write_text(VARIABLES)
    return file


@pytest.mark.parametrize(
    ('option', 'name'),
    [
        ('number', 'number'),
        ('scale', 'scale'),
        ('nothing', 'nothing'),
        ('nothing.a', 'nothing'),
        ('norm.eps', 'custom_hooks.1'),
    ],
)
def test_options_that_cannot_act_are_refused(option, name, variables):
    variables.write_text(VARIABLES + 'number = 3')
    with pytest.raises(ValueError, match=name) as error:
        load_config(variables, {option: 4})
    assert str(error.value).startswith(f'{option}=4: ')


def test_options_that_are_nearly_known_are_named(path, monkeypatch):
    texts = []
    monkeypatch.setattr(
        'mmwsl.utils.config.print_log', lambda text, **_: texts.append(text)
    )
    load_config(path, {'model.depth': 18, 'train.dataset.root': 'x'})
    assert not texts
    load_config(path, {'train.dataset.lists': 'x'})
    assert 'train.dataset has no lists, which is added; is list' in texts[0]


def test_the_order_of_options_does_not_matter(variables):
    options = {
        'labels': 'data/mine',
        'data_root': '/new',
        'crf.iterations': 3,
        'crf': dict(iterations=5),
        'train_pipeline.1.type': 'E',
        'train_dataloader.dataset.pipeline.0.type': 'F',
    }
    cfg = load_config(variables, options)
    backwards = dict(reversed(list(options.items())))
    assert load_config(variables, backwards).to_dict() == cfg.to_dict()
    assert cfg.seg == 'data/mine/seg'
    assert cfg.train_dataloader.dataset.root == '/new'
    assert cfg.val_dataloader.dataset.pipeline[1].path == 'data/mine'
    assert cfg.val_dataloader.dataset.pipeline[1].type == 'E'
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'A'
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'F'
    assert cfg.custom_hooks[0].crf == dict(iterations=3, gaussian=(3, 3))
    # A command line has lists only, and mmcv wants sizes as tuples.
    cfg = load_config(variables, {'crf.gaussian': [4, 5]})
    assert cfg.train_pipeline[0].crf.gaussian == (4, 5)


def test_variables_of_one_value_are_refused(variables):
    with pytest.raises(ValueError, match='data_root and other'):
        load_config(variables, {'other': 'a', 'data_root': 'b'})


def test_workers_do_not_persist_where_there_are_none(variables):
    cfg = load_config(variables, {'train_dataloader.num_workers': 0})
    assert set(cfg.train_dataloader) == {'num_workers', 'dataset'}
    assert cfg.val_dataloader.persistent_workers


@pytest.mark.parametrize(
    ('text', 'place'),
    [
        ('a = 1\nb = = 2', ', line 2: '),
        ('a = 1\nb = c', ', line 2: NameError'),
        ('a = 1 / 0', ', line 1: ZeroDivisionError'),
        ('def f():\n    return f()\na = f()', ', line 2: RecursionError'),
        ('a = {}\na["a"] = a', ': RecursionError'),
        ('a = "\xff"', ''),
        ('from nowhere import *', ''),
        ('_base_ = "none.py"', ': '),
    ],
)
@pytest.mark.parametrize('inside', [False, True])
def test_faults_name_the_file_and_the_line(text, place, inside, tmp_path):
    file = tmp_path / 'faulty.py'
    file.write_bytes(text.encode('latin-1'))
    path = tmp_path / 'child.py' if inside else file
    if inside:
        path.write_text('_base_ = "faulty.py"')
    with pytest.raises(ValueError) as error:
        load_config(path)
    assert str(error.value).startswith(str(file) + place) or (
        str(error.value).startswith(f'{path}: RecursionError')
    )


@pytest.mark.parametrize('chain', ['a', 'ab', 'abc'])
def test_circular_bases(chain, tmp_path):
    for name, base in zip(chain, chain[1:] + chain[0]):
        (tmp_path / f'{name}.py').write_text(f'_base_ = ["{base}.py"]')
    with pytest.raises(ValueError, match='a.py: is its own base'):
        load_config(tmp_path / 'a.py')


def test_one_base_of_two(tmp_path):
    (tmp_path / 'a.py').write_text('_base_ = ["b.py", "c.py"]')
    for name in 'bc':
        text = f'_base_ = "d.py"\n{name} = dict(x={{{{_base_.d}}}})'
        (tmp_path / f'{name}.py').write_text(text)
    (tmp_path / 'd.py').write_text('_delete_ = 1\nd = 3')
    with pytest.raises(ValueError, match=r'a.py: .*Duplicate key'):
        load_config(tmp_path / 'a.py')


@pytest.mark.parametrize('inside', [False, True])
def test_yaml_is_refused_unread(inside, tmp_path):
    path = tmp_path / 'a.yaml'
    mark = tmp_path / 'mark'
    path.write_text(f'a: !!python/object/apply:os.mkdir ["{mark}"]')
    if inside:
        path = tmp_path / 'a.py'
        path.write_text('_base_ = "a.yaml"')
    with pytest.raises(ValueError, match='a.yaml: '):
        load_config(path)
    assert not mark.exists()


def test_json_is_read(tmp_path):
    (tmp_path / 'b.py').write_text('b = 2')
    path = tmp_path / 'a.json'
    path.write_text('{"_base_": "b.py", "a": 1}')
    assert load_config(path).to_dict() == dict(a=1, b=2)
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match='a.json: '):
        load_config(path)


def test_types_and_file_name_are_kept(path):
    for options in (None, {'data_root': 'x'}):
        cfg = load_config(path, options)
        assert isinstance(cfg, Config)
        assert isinstance(cfg.train.dataset, ConfigDict)
        assert isinstance(cfg.val, list)
        assert isinstance(cfg.val[1], tuple)
        assert cfg.filename == str(path)


def test_config_of_a_package():
    cfg = load_config('mmwsl::cam/cam_r18_toy.py', {'work_dir': 'somewhere'})
    assert cfg.model.type == 'WSLClassifier'
    assert cfg.work_dir == 'somewhere'


@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        ('none.py', FileNotFoundError),
        ('mmwsl::cam/none.py', FileNotFoundError),
        ('nowhere::cam/none.py', ValueError),
    ],
)
def test_missing_file(path, kind):
    with pytest.raises(kind, match=path.split('::')[0]):
        load_config(path)


@pytest.mark.parametrize(
    ('text', 'key'),
    [
        ("model = 'ResNet'", 'model'),
        ("model = dict(neck=dict(type=['a']))", 'model.neck.type'),
        ('custom_hooks = [dict(type=3)]', 'custom_hooks.0.type'),
        ('train_cfg = [1]', 'train_cfg'),
        ('work_dir = 3', 'work_dir'),
        ("val_evaluator = 'CountMetric'", 'val_evaluator'),
        ('test_dataloader = []', 'test_dataloader'),
    ],
)
def test_wrong_kinds_name_file_and_key(tmp_path, text, key):
    path = tmp_path / 'a.py'
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_config(path)
    assert str(error.value).startswith(f'{path}: {key} ')


def test_missing_keys_name_file_and_key(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text("train_dataloader = dict(dataset=dict(data_root='b'))")
    cfg = load_config(path)
    for call in (
        lambda: read_config(runner_parser('').parse_args([str(path)])),
        lambda: init_model(path),
        lambda: init_model(cfg),
    ):
        with pytest.raises(ValueError, match=f'^{path}: .*model'):
            call()
    with pytest.raises(ValueError, match=f'^{path}: .*train_dataloader.data'):
        dataset_config(cfg, 'train')
    with pytest.raises(ValueError, match=f'^{path}: .*val_dataloader'):
        dataset_config(cfg, 'val')


COUNTING = """
model = dict(
    type='WSLClassifier',
    backbone=dict(type='TorchvisionBackbone', arch='resnet18'),
    head=dict(
        type='DensityHead', in_channels=512, num_classes=None, max_count=None
    ),
)
dataset = dict(
    type='FolderDataset', ann_file='counts.csv', pipeline=[]
)
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset)
"""


@pytest.fixture
def counting(tmp_path):
    """A config without numbers, and counts up to 7 of two classes."""
    for name in 'ab':
        Image.new('RGB', (8, 8)).save(tmp_path / f'{name}.png')
    (tmp_path / 'counts.csv').write_text('path,cat,dog\na.png,0,7\nb.png,2,1')
    file = tmp_path / 'counting.py'
    file.write_text(COUNTING)
    options = {'train_dataloader.dataset.data_root': str(tmp_path)}
    return load_config(file, options)


def test_numbers_are_found_in_the_data(counting):
    assert fill_from_data(counting) == dict(max_count=7, num_classes=2)
    head = counting.model.head
    assert (head.num_classes, head.max_count) == (2, 7)
    # What is said is never changed.
    assert fill_from_data(counting) == {}


@pytest.mark.parametrize(
    ('known', 'means'), [(None, [1.0, 4.0]), (4, [1.0, 3.0]), (9, [1.0, 4.0])]
)
def test_mean_counts_are_found_in_the_data(counting, known, means):
    """A count above those known is one more than they are."""
    counting.model.head.update(max_count=known, mean_counts=None)
    assert fill_from_data(counting)['mean_counts'] == means
    assert counting.model.head.mean_counts == means


def test_weights_of_rare_classes_are_found_in_the_data(counting, tmp_path):
    lines = ['path,label', 'a.png,cat', 'b.png,cat|dog', 'c.png,cat']
    (tmp_path / 'counts.csv').write_text('\n'.join(lines))
    Image.new('RGB', (8, 8)).save(tmp_path / 'c.png')
    loss = dict(type='MultiLabelSoftMarginLoss', pos_weight='auto')
    counting.model.head = dict(type='CAMHead', loss=loss)
    found = fill_from_data(copy.deepcopy(counting))
    assert found == dict(pos_weight=[1.0, 2.0])
    fill_from_data(counting, ['cat', 'dog'])
    assert counting.model.head.loss.pos_weight is None


def test_numbers_of_a_checkpoint(counting, tmp_path):
    """Predictions ask the checkpoint, not the data."""
    cfg = counting
    cfg.test_dataloader = cfg.train_dataloader
    model = init_model(cfg.copy())
    path = tmp_path / 'model.pth'
    meta = dict(dataset_meta=dict(classes=['x', 'y']))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    (tmp_path / 'counts.csv').unlink()
    loaded = init_model(cfg, path)
    assert loaded.head.num_classes == 2
    assert loaded.dataset_meta['classes'] == ['x', 'y']


def test_counting_needs_counts(counting, tmp_path):
    (tmp_path / 'counts.csv').write_text('a.png,cat\nb.png,dog')
    with pytest.raises(ValueError, match=r'counting\.py.*labels alone'):
        fill_from_data(counting)
    counting.model.head.max_count = 4
    assert fill_from_data(counting) == dict(num_classes=2)


@pytest.mark.parametrize(
    ('images', 'said', 'epochs'),
    [
        (2, {}, 15),
        (300, {}, 10),
        (5000, {}, 3),
        (2, dict(max_epochs=4), 4),
        # Each step of erasing has half of them.
        (300, dict(epochs=None), 5),
    ],
)
def test_epochs_follow_the_number_of_images(images, said, epochs):
    assert _epochs(dict(said), images)['epochs'] == epochs


@pytest.mark.parametrize(
    ('epochs', 'start'), [(1, 0), (3, 2), (6, 5), (10, 8), (12, 10), (40, 33)]
)
def test_two_stages_follow_the_epochs(counting, epochs, start):
    counting.train_cfg = dict(by_epoch=True, max_epochs=epochs)
    counting.model.head.spatial_start_epoch = None
    fill_from_data(counting)
    assert counting.model.head.spatial_start_epoch == start


def test_epochs_are_found_in_the_data(counting):
    counting.train_cfg = dict(by_epoch=True, max_epochs=None)
    counting.param_scheduler = [dict(type='CosineAnnealingLR', T_max=None)]
    counting.model.head.spatial_start_epoch = None
    assert fill_from_data(counting)['epochs'] == 15
    assert counting.train_cfg.max_epochs == 15
    assert counting.param_scheduler[0].T_max == 15
    assert counting.model.head.spatial_start_epoch == 12
