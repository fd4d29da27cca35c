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


@pytest.mark.parametrize('name', [x for x in FILES if x.startswith('nsrom/')])
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
