"""Every pipeline file in ``configs`` can be planned."""

import pytest

from mmwsl.pipeline import read_pipeline, show_plan
from mmwsl.pipeline.running import NEW
from stage1_data import CONFIG_DIR

TOOLS = CONFIG_DIR.parent / 'tools'
FILES = sorted(
    path.relative_to(CONFIG_DIR).as_posix()
    for path in CONFIG_DIR.glob('*/pipeline_*.py')
)


def test_there_are_pipelines():
    assert any(name.startswith('ae_psl/') for name in FILES)


@pytest.mark.parametrize('name', FILES)
def test_plan(name, tmp_path, capsys):
    # Their segmentors inherit its configs.
    pytest.importorskip('mmseg')
    pipeline = read_pipeline(
        CONFIG_DIR / name, work_dir=str(tmp_path), tools=str(TOOLS)
    )
    show_plan(pipeline)
    printed = capsys.readouterr().out
    assert printed.count(f': {NEW}\n') == len(pipeline.stages)
    # The page shows something, and masks judge something.
    for key in ('pictures', 'evaluate'):
        assert any(stage.what.get(key) for stage in pipeline.stages)


# Pipelines of own data always make them.
NSROM = [x for x in FILES if x.startswith('nsrom/') and 'own-data' not in x]


@pytest.mark.parametrize('name', NSROM)
def test_generated_saliency(name, tmp_path):
    tools, options = str(TOOLS), {'saliency': '{generated.dir}/maps'}
    given = read_pipeline(CONFIG_DIR / name, work_dir='w', tools=tools)
    made = read_pipeline(CONFIG_DIR / name, options, 'w', tools)
    names = [stage.name for stage in made.stages]
    assert 'generated' in names
    names.remove('generated')
    assert names == [stage.name for stage in given.stages]
    users = [s.name for s in made.stages if 'generated' in s.uses]
    assert users == ['cam_saliency', 'initial', 'masked']
    # Nothing else is read as saliency.
    assert 'SaliencyMaps' not in str([stage.what for stage in made.stages])
    assert (
        str([stage.what for stage in given.stages]).count('SaliencyMaps') == 3
    )


def test_a_new_data_set_takes_few_lines():
    for name in FILES:
        text = (CONFIG_DIR / name).read_text()
        assert len(text.splitlines()) <= 15, name
        assert '_base_/pipelines/' in text


def test_they_are_inherited_elsewhere(tmp_path):
    pytest.importorskip('mmseg')
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = 'mmwsl::nsrom/pipeline_nsrom_r18_toy.py'\n"
        "data_root = '/data/mine'\nclasses = 'cat,dog'\n"
        'stages = dict(mined_all_pixels=None)\n'
    )
    pipeline = read_pipeline(path, work_dir='w', tools=str(TOOLS))
    stages = {stage.name: stage for stage in pipeline.stages}
    # No toy pictures are drawn.
    assert 'data' not in stages
    assert 'mined_all_pixels' not in stages
    assert stages['masked'].what['evaluate']['classes'] == 'cat,dog'
    assert stages['classifier'].what['cfg_options'] == dict(
        data_root='/data/mine'
    )


@pytest.mark.parametrize('name', [x for x in FILES if 'own-data' in x])
def test_own_data_need_one_option(name):
    """Boxes judge what has them, and predictions of new images come last."""
    options = dict(data_root='/data/mine', labels='a.json', saliency='/maps')
    if name.startswith('cam/'):
        del options['saliency']
    pipeline = read_pipeline(CONFIG_DIR / name, options, tools=str(TOOLS))
    first, last = pipeline.stages[0], pipeline.stages[-1]
    args = first.what['args']
    assert args[:3] == ['/data/mine', '{dir}', '--labels=a.json']
    assert [x.split('=')[0] for x in args[3:]] == ['--columns', '--max-value']
    assert 'generated' not in [stage.name for stage in pipeline.stages]
    assert 'SegmentationClass' not in str(pipeline)
    assert last.name == 'results'
    split = 'train_dataloader.dataset.dataset.split'
    assert last.what['cfg_options'][split] == 'unseen'
    for stage in pipeline.stages:
        evaluate = stage.what.get('evaluate')
        if stage.kind != 'tool':
            options = stage.what['cfg_options']
            assert options['data_root'] == '/data/mine'
            assert options['annotations'] == 'a.json'
        if evaluate:
            assert evaluate['optional']
            assert evaluate['masks'] == '{data.dir}/boxes'
