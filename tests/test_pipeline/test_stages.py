"""Reading pipeline files, and the commands of stages."""

import os
import sys

import pytest

from mmwsl.pipeline import read_pipeline
from mmwsl.pipeline.stages import (
    evaluation_command,
    expand,
    find_checkpoint,
    stage_command,
)
from mmwsl.utils.config import read_value
from pipeline_files import (
    LAST,
    TESTING,
    TRAINING,
    USER,
    WRITER,
    read,
    write_pipeline,
    write_tools,
)


def fails(tmp_path, stages, options=None, **more):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read(tmp_path, stages, options, **more)
    text = str(error.value)
    assert '\n' not in text
    return text


def test_variables_are_replaced_and_references_stay(tmp_path):
    more = dict(base='/data', masks='{base}/masks', number=3)
    stage = {**USER, 'args': ['{masks}', '{number}', '{one.dir}', '{dir}']}
    pipeline = read(tmp_path, [WRITER, stage], **more)
    one, two = pipeline.stages
    assert one.uses == []
    assert two.uses == ['one']
    assert two.what['args'] == ['/data/masks', 3, '{one.dir}', '{dir}']
    assert two.program == str(tmp_path / 'tools/write.py')
    assert pipeline.folder('two') == str(tmp_path / 'work/two')


def test_variables_hold_folders_of_stages(tmp_path):
    more = dict(base='{one.dir}/a', masks='{base}/masks')
    stage = {**USER, 'args': ['{masks}', 'x{masks}']}
    page = dict(mask_dir='{masks}')
    two = read(tmp_path, [WRITER, stage], page=page, **more)
    assert two.stages[1].what['args'] == [
        '{one.dir}/a/masks',
        'x{one.dir}/a/masks',
    ]
    assert two.stages[1].uses == ['one']
    assert two.page['mask_dir'] == '{one.dir}/a/masks'
    # Where the variable is used the stage must have been.
    text = fails(tmp_path, [{**WRITER, 'args': ['{late.dir}']}])
    assert 'no stage before it is named' in text
    text = fails(tmp_path, [WRITER], {'word': '{three.dir}'})
    assert "{three.dir}: no stage before it is named 'three'" in text


def test_optional_stages(tmp_path):
    first = {**WRITER, 'args': ['x'], 'optional': True}
    between = {**USER, 'optional': True}
    last = {**LAST, 'args': ['{word}']}

    def names(word):
        stages = [first, between, last]
        return [x.name for x in read(tmp_path, stages, {'word': word}).stages]

    assert names('folder') == ['three']
    assert names('{one.dir}') == ['one', 'three']
    assert names('{two.dir}/maps') == ['one', 'two', 'three']


def test_default_folder_and_tools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tools(tmp_path)
    stage = {**WRITER, 'tool': 'pseudo_labels.py'}
    pipeline = read_pipeline(write_pipeline(tmp_path, [stage]))
    assert pipeline.work_dir == str(tmp_path / 'work_dirs/pipeline')
    assert pipeline.stages[0].program.endswith('.mim/tools/pseudo_labels.py')


def test_options(tmp_path):
    options = {'word': 'b', 'net.model.path': 'new', 'page.number': 2}
    pipeline = read(tmp_path, [WRITER, TRAINING], options)
    assert pipeline.stages[0].what['args'][1] == 'b'
    assert pipeline.stages[1].what['cfg_options'] == {
        'data_root': 'b',
        'model.path': 'new',
    }
    assert pipeline.page == {'number': 2}


def test_lists_of_the_command_line_are_texts(tmp_path):
    stage = {**WRITER, 'args': ['--classes={classes}']}
    options = {'classes': ['cat', 'dog']}
    pipeline = read(tmp_path, [stage], options, classes='x,y')
    assert pipeline.stages[0].what['args'] == ['--classes=cat,dog']


def test_options_without_effect(tmp_path):
    text = fails(tmp_path, [WRITER], {'size': 3}, size=2)
    assert text.startswith('size: no stage of')
    assert 'its variables are word' in text
    text = fails(tmp_path, [WRITER], {'won.lr': 3})
    assert 'is one meant?' in text
    assert 'Its stages are one' in text
    assert 'runs a tool' in fails(tmp_path, [WRITER], {'one.lr': 3})


def test_page_follows_the_data(tmp_path):
    more = dict(data_root='/d', classes='x,y', page=dict(mask_dir='{one.dir}'))
    page = read(tmp_path, [WRITER], **more).page
    assert page == {
        'classes': 'x,y',
        'image_dir': '/d/JPEGImages',
        'mask_dir': '{one.dir}',
    }


def test_evaluation_is_completed(tmp_path):
    stage = {**WRITER, 'evaluate': '{dir}/labels'}
    own = {**LAST, 'evaluate': dict(labels='x', masks='y')}
    more = dict(evaluate=dict(masks='{word}/m', classes='voc', split='train'))
    one, three = read(tmp_path, [stage, own], **more).stages
    assert one.what['evaluate'] == dict(
        masks='a/m', classes='voc', split='train', labels='{dir}/labels'
    )
    assert three.what['evaluate']['masks'] == 'y'
    text = fails(tmp_path, [stage], evaluate=dict(masks='m'))
    assert "stage 'one': evaluate has no 'classes'" in text


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ([], '"stages" is not a list or a dict'),
        ([3], 'stage 1 has no name'),
        ([{**WRITER, 'name': 'a/b'}], "'a/b': this cannot be the name"),
        ([{**WRITER, 'name': 'page'}], 'this cannot be the name'),
        ([WRITER, WRITER], "'one' occurs twice"),
        (
            [{**WRITER, 'run': 'fly'}],
            'run must be one of train, test, predict, tool',
        ),
        ([{'name': 'x', 'run': 'test', 'config': 'a'}], "'checkpoint' is"),
        ([{**WRITER, 'tols': 1}], "a tool stage has no 'tols'"),
        ([USER, WRITER], "{one.dir}: no stage before it is named 'one'"),
        ([{**WRITER, 'args': ['{one.dir}']}], 'no stage before it is named'),
        ([{**WRITER, 'args': ['{wrd}']}], '{wrd} is no variable of the file'),
        (
            [TRAINING, {**USER, 'args': ['{net.lab}']}],
            'has dir and checkpoint',
        ),
        ([WRITER, {**USER, 'args': ['{one.checkpoint}']}], 'only a train'),
        ([{**TRAINING, 'config': 'no.py'}], 'no.py: no such config'),
        ([{**WRITER, 'tool': 'no.py'}], 'tools/no.py: no such tool'),
    ],
)
def test_one_clear_line(tmp_path, stages, message):
    text = fails(tmp_path, stages)
    assert text.startswith(str(tmp_path / 'pipeline.py'))
    assert message in text


def test_bad_variables_and_page(tmp_path):
    text = fails(tmp_path, [WRITER], word='{second}', second='{word}')
    assert 'a variable of the file refers to itself' in text
    text = fails(tmp_path, [WRITER], page=dict(image_dir='{two.dir}'))
    assert 'page: {two.dir}: no stage before it is named' in text


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such config file'):
        read_pipeline(tmp_path / 'none.py')


def test_stage_of_the_command_line(tmp_path):
    pipeline = read(tmp_path, [TRAINING, TESTING])
    assert pipeline.index('maps', '--to') == 1
    with pytest.raises(ValueError, match='--to map: .* only net, maps'):
        pipeline.index('map', '--to')


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


@pytest.mark.parametrize('value', ['a b', '1', 'a, b', 'True', "it's", ''])
def test_texts_that_look_like_something_else(tmp_path, value):
    stage = {**TRAINING, 'cfg_options': {'name': value}}
    pipeline = read(tmp_path, [stage])
    key, written = stage_command(pipeline, pipeline.stages[0])[-1].split('=')
    assert (key, read_value(written)) == ('name', value)


def test_options_that_cannot_be_written(tmp_path):
    stage = {**TRAINING, 'cfg_options': {'name': '(a,b'}}
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


def test_masks_may_be_optional(tmp_path):
    """Own data may have nothing to judge by."""
    masks = tmp_path / 'masks'
    given = dict(labels='l', masks=str(masks), classes='voc', optional=True)
    pipeline = read(tmp_path, [{**WRITER, 'evaluate': given}])
    assert evaluation_command(pipeline, pipeline.stages[0]) == []
    masks.mkdir()
    line = evaluation_command(pipeline, pipeline.stages[0])
    assert line[2:6] == ['l', str(masks), '--classes', 'voc']
    # No image of the list has a mask.
    given['list'] = str(tmp_path / 'ids.txt')
    (tmp_path / 'ids.txt').write_text('')
    pipeline = read(tmp_path, [{**WRITER, 'evaluate': given}])
    assert evaluation_command(pipeline, pipeline.stages[0]) == []
    (tmp_path / 'ids.txt').write_text('a\n')
    line = evaluation_command(pipeline, pipeline.stages[0])
    assert line[6:8] == ['--list', given['list']]


VALUES = {'n': 3, 'root': '/data', 'one.dir': '/w/one', 'a-b': None}


def test_nested_values_and_types():
    given = {
        'whole': '{n}',
        'part': 'epoch_{n}.pth',
        'paths': ['{root}/x', ('{one.dir}', 4)],
        'nothing': '{a-b}',
        'flag': True,
    }
    assert expand(given, VALUES.__getitem__) == {
        'whole': 3,
        'part': 'epoch_3.pth',
        'paths': ['/data/x', ['/w/one', 4]],
        'nothing': None,
        'flag': True,
    }
    assert given['whole'] == '{n}'


@pytest.mark.parametrize('text', ['{', '{}', '{"n": 1}', '{0}', 'a}b{'])
def test_other_braces_stay(text):
    assert expand(text, VALUES.__getitem__) == text


def test_named_stages_are_inherited_in_part(tmp_path):
    more = dict(two=USER, three=LAST)
    named = {'one': WRITER, **more}
    (tmp_path / 'configs').mkdir()
    base = tmp_path / 'configs/base.py'
    plain = {
        name: {k: v for k, v in what.items() if k != 'name'}
        for name, what in named.items()
    }
    base.write_text(f"word = 'a'\nstages = {plain!r}\n")
    path = tmp_path / 'pipeline.py'
    path.write_text(
        "_base_ = 'configs/base.py'\nword = 'b'\n"
        "stages = dict(two=dict(args=['{word}']), three=None)\n"
    )
    tools = str(write_tools(tmp_path))
    stages = read_pipeline(path, tools=tools).stages
    assert [stage.name for stage in stages] == ['one', 'two']
    assert [stage.what['args'][-1] for stage in stages] == ['b', 'b']


def test_options_are_merged_and_lists_are_spread(tmp_path):
    options = ['{common}', dict(model='{word}')]
    training = {**TRAINING, 'cfg_options': options}
    writer = {**WRITER, 'args': ['x', '{more}', '--names={more}']}
    given = dict(common=dict(model='c', data_root='/d'), more=['y', '{dir}'])
    net, one = read(tmp_path, [training, writer], **given).stages
    assert net.what['cfg_options'] == dict(model='a', data_root='/d')
    assert one.what['args'] == ['x', 'y', '{dir}', '--names=y,{dir}']
    text = fails(tmp_path, [{**TRAINING, 'cfg_options': ['{word}']}])
    assert "stage 'net': cfg_options is 'a', not a dict" in text


def test_a_predict_stage_writes_into_its_folder(tmp_path):
    predict = {**TESTING, 'run': 'predict'}
    pipeline = read(tmp_path, [TRAINING, predict])
    line = stage_command(pipeline, pipeline.stages[1], strict=False)
    assert line[1] == str(tmp_path / 'tools/test.py')
    folder = pipeline.folder('maps')
    assert line[-2:] == ['--cfg-options', f'predict.out_dir={folder}']


def test_values_that_a_tool_has_found(tmp_path):
    training = {
        **TRAINING,
        'cfg_options': {'model.classes': '{one.num_classes}'},
    }
    pipeline = read(tmp_path, [WRITER, training])
    net = pipeline.stages[1]
    assert net.uses == ['one']
    line = stage_command(pipeline, net, strict=False)
    assert line[-1] == 'model.classes={one.num_classes}'
    path = tmp_path / 'work/one/values.json'
    with pytest.raises(ValueError, match="values.json has no 'num_classes'"):
        stage_command(pipeline, net)
    path.parent.mkdir(parents=True)
    path.write_text('{"num_classes": 3}')
    assert stage_command(pipeline, net)[-1] == 'model.classes=3'


def test_configs_are_looked_for_in_the_package(tmp_path):
    stage = dict(name='net', run='train', config='cam/cam_r18_toy.py')
    program = read(tmp_path, [stage]).stages[0].program
    assert program.endswith('.mim/configs/cam/cam_r18_toy.py')
