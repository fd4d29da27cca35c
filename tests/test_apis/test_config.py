"""Config files, and the variables that a command line replaces in them."""

import pytest
from mmengine.config import Config, ConfigDict

from mmwsl.apis import load_config

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


def test_variable_is_replaced_where_it_was_used(path):
    cfg = load_config(path, {'data_root': '/mnt/x'})
    assert cfg.data_root == '/mnt/x'
    assert cfg.train.dataset.root == '/mnt/x'
    assert cfg.train.dataset.list == '/mnt/x/train.txt'
    assert cfg.val[0].root == '/mnt/x'


def test_similar_texts_stay(path):
    cfg = load_config(path, {'data_root': '/mnt/x'})
    assert list(cfg.val[1]) == ['/mnt/x', 'data/voc2', 'old/data/voc']
    assert cfg.model.backbone.init_cfg.checkpoint == 'weights/a.pth'
    assert cfg.number == 3


def test_several_variables_at_once(path):
    cfg = load_config(path, {'data_root': 'd', 'weights': 'w.pth'})
    assert cfg.train.dataset.list == 'd/train.txt'
    assert cfg.model.backbone.init_cfg.checkpoint == 'w.pth'


def test_options_that_are_no_variables(path):
    options = {'new': 'data/voc', 'train.dataset.root': 'here'}
    cfg = load_config(path, options)
    assert cfg.new == 'data/voc'
    assert cfg.train.dataset.root == 'here'
    assert cfg.data_root == 'data/voc'
    assert cfg.train.dataset.list == 'data/voc/train.txt'


def test_a_number_that_would_have_no_effect_is_refused(path):
    with pytest.raises(ValueError, match='^number=4: the number is used'):
        load_config(path, {'number': 4})


def test_nested_option_wins_over_a_variable(path):
    options = {'train.dataset.root': 'here', 'data_root': 'there'}
    cfg = load_config(path, options)
    assert cfg.train.dataset.root == 'here'
    assert cfg.val[0].root == 'there'


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


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such config file') as e:
        load_config(tmp_path / 'none.py')
    assert str(tmp_path / 'none.py') in str(e.value)


@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        ('mmwsl::cam/none.py', FileNotFoundError),
        ('nowhere::cam/none.py', ValueError),
    ],
)
def test_missing_in_a_package(path, kind):
    with pytest.raises(kind, match=path.split('::')[0]):
        load_config(path)
