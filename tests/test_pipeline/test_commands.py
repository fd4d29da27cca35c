import os
import sys

import pytest

from mmwsl.pipeline.stages import (
    evaluation_command,
    find_checkpoint,
    stage_command,
)
from pipeline_files import TESTING, TRAINING, WRITER, read


def test_commands(tmp_path):
    testing = {
        **TESTING,
        'show_dir': '{dir}/show',
        'cfg_options': {
            'model': dict(a=1.5, b=dict(c=[1, 'x'], d=None)),
            'out': '{dir}/labels',
            'flag': True,
        },
    }
    pipeline = read(tmp_path, [TRAINING, testing])
    net, maps = (pipeline.folder(name) for name in ('net', 'maps'))
    config, tools = str(tmp_path / 'net.py'), tmp_path / 'tools'
    training = [sys.executable, str(tools / 'train.py'), config, '--resume']
    training += ['--work-dir', net, '--cfg-options', 'data_root=a']
    assert stage_command(pipeline, pipeline.stages[0]) == training
    test = stage_command(pipeline, pipeline.stages[1], strict=False)
    assert test[2:4] == [config, '{net.checkpoint}']
    assert test[4:] == [
        *('--show-dir', f'{maps}/show', '--work-dir', maps, '--cfg-options'),
        *('model.a=1.5', 'model.b.c=[1,x]', 'model.b.d=None'),
        *(f'out={maps}/labels', 'flag=True'),
    ]
    with pytest.raises(FileNotFoundError, match="checkpoint of 'net', and"):
        stage_command(pipeline, pipeline.stages[1])


@pytest.mark.parametrize('value', ['a b', '1', 'a,b', 'True', "it's'", '(a,b'])
def test_options_that_mmengine_would_change(tmp_path, value):
    stage = {**TRAINING, 'cfg_options': {'name': value}}
    pipeline = read(tmp_path, [stage])
    with pytest.raises(ValueError, match="stage 'net': name="):
        stage_command(pipeline, pipeline.stages[0])


def test_checkpoint_is_found_where_the_folder_was_moved(tmp_path):
    assert find_checkpoint(str(tmp_path)) is None
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_3.pth\n')
    assert find_checkpoint(str(tmp_path)) is None
    (tmp_path / 'iter_3.pth').write_text('')
    assert find_checkpoint(str(tmp_path)) == str(tmp_path / 'iter_3.pth')


def test_evaluation(tmp_path):
    given = dict(
        labels='{dir}/labels',
        masks='/d/masks/',
        classes='voc',
        split='train',
        fixed_threshold=0.5,
    )
    pipeline = read(tmp_path, [{**WRITER, 'evaluate': given}])
    line = evaluation_command(pipeline, pipeline.stages[0])
    folder = pipeline.folder('one')
    assert line[1:] == [
        str(tmp_path / 'tools/analysis_tools/eval_seeds.py'),
        *(f'{folder}/labels', '/d/masks/', '--classes', 'voc'),
        *('--fixed-threshold', '0.5'),
        *('--list', '/d/ImageSets/Segmentation/train.txt'),
        *('--out', os.path.join(folder, 'evaluation.json')),
    ]
