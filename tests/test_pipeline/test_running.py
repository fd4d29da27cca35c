"""Which stages run, run anew, go on, and what is told of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from mmwsl.pipeline import run_pipeline, show_plan
from mmwsl.pipeline.running import last_error, run_logged, stage_metrics
from pipeline_files import (
    LAST,
    TESTING,
    TRAINING,
    USER,
    WRITER,
    read,
    run,
    summary,
)

THREE = [WRITER, USER, LAST]
BROKEN = {**USER, 'tool': 'fail.py'}


def states(folder):
    return {name: stage['state'] for name, stage in summary(folder).items()}


def all_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_finished_stages_are_skipped(tmp_path, capsys):
    folder = run(tmp_path, THREE)
    assert set(states(folder).values()) == {'done'}
    assert summary(folder)['one']['metrics'] == {'lines': 1}
    printed = capsys.readouterr().out
    assert '== [2/3] two: done in 0:00:0' in printed
    assert '(elapsed 0:00:0' in printed
    run(tmp_path, THREE)
    assert set(states(folder).values()) == {'kept'}
    # Nothing was appended.
    assert (folder / 'one/text.txt').read_text() == 'a\n'
    assert '[1/3] one: finished, skipped' in capsys.readouterr().out


def test_a_changed_stage_and_its_users_run_anew(tmp_path, capsys):
    folder = run(tmp_path, THREE)
    (folder / 'one/old.txt').write_text('')
    capsys.readouterr()
    run(tmp_path, THREE, {'word': 'b'})
    # The third takes nothing from them.
    assert states(folder) == {'one': 'done', 'two': 'done', 'three': 'kept'}
    assert (folder / 'one/text.txt').read_text() == 'b\n'
    assert not (folder / 'one/old.txt').exists()
    printed = capsys.readouterr().out
    assert 'one: args changed, its folder is cleared' in printed
    assert "two: the run of 'one' changed, its folder is cleared" in printed


def test_stale_users_are_known_after_a_failure_too(tmp_path):
    folder = run(tmp_path, THREE)
    # The first stage runs anew, and then the command ends.
    run(tmp_path, THREE, {'word': 'b'}, last='one')
    run(tmp_path, THREE, {'word': 'b'})
    assert states(folder) == {'one': 'kept', 'two': 'done', 'three': 'kept'}


def test_a_changed_config_file(tmp_path, capsys):
    folder = run(tmp_path, [TRAINING, TESTING])
    pipeline = read(tmp_path, [TRAINING, TESTING])
    base = tmp_path / 'base.py'
    base.write_text('lr = 1\n')
    text = (tmp_path / 'net.py').read_text()
    (tmp_path / 'net.py').write_text(f"_base_ = 'base.py'\n{text}")
    run_pipeline(pipeline)
    assert 'net: what the config file holds changed' in capsys.readouterr().out
    base.write_text('lr = 1  # the same\n')
    run_pipeline(pipeline)
    assert set(states(folder).values()) == {'kept'}
    base.write_text('lr = 2\n')
    run_pipeline(pipeline)
    assert set(states(folder).values()) == {'done'}


def test_train_and_test(tmp_path):
    folder = run(tmp_path, [TRAINING, TESTING])
    assert summary(folder)['net']['metrics'] == {'loss': 1.5, 'mAP': 50.0}
    assert summary(folder)['maps']['metrics'] == {'mIoU': 30.0}
    command = (folder / 'maps/used.txt').read_text()
    assert command.endswith('--cfg-options data_root=a')
    log = (folder / 'net/log.txt').read_text()
    assert log.startswith('$ ')
    assert 'trained --resume' in log


def test_failure_names_stage_and_log(tmp_path, capfd):
    with pytest.raises(ChildProcessError) as error:
        run(tmp_path, [WRITER, BROKEN, LAST])
    log = tmp_path / 'work/two/log.txt'
    assert str(error.value) == (
        "stage 'two' failed with exit code 3: the weights are gone; "
        f'its log is {log}'
    )
    assert 'before\n' in log.read_text()
    assert states(tmp_path / 'work') == {
        'one': 'done',
        'two': 'failed',
        'three': '-',
    }
    # The same command goes on, here with a tool that was mended.
    (tmp_path / 'tools/fail.py').unlink()
    fixed = [WRITER, USER, LAST]
    folder = run(tmp_path, fixed)
    assert states(folder) == {'one': 'kept', 'two': 'done', 'three': 'done'}


def test_a_broken_stage_goes_on_in_its_folder(tmp_path, capsys):
    mended = [{**WRITER, 'tool': 'fail.py'}]
    with pytest.raises(ChildProcessError):
        run(tmp_path, mended)
    folder = tmp_path / 'work'
    (folder / 'one/text.txt').write_text('half\n')
    started = json.loads((folder / 'one/started.json').read_text())
    pipeline = read(tmp_path, mended)
    write = (tmp_path / 'tools/write.py').read_text()
    (tmp_path / 'tools/fail.py').write_text(write)
    run_pipeline(pipeline)
    assert 'one: goes on where it was broken off' in capsys.readouterr().out
    assert (folder / 'one/text.txt').read_text() == 'half\na\n'
    record = json.loads((folder / 'one/stage.json').read_text())
    assert record['attempts'] == 2
    assert record['run'] == started['run']
    assert not (folder / 'one/started.json').exists()


def test_from_and_to(tmp_path):
    folder = run(tmp_path, THREE, last='one')
    assert states(folder) == {'one': 'done', 'two': '-', 'three': '-'}
    run(tmp_path, THREE, first='two', last='two')
    assert states(folder) == {'one': 'kept', 'two': 'done', 'three': '-'}
    # What is before --from stays as it is, changed or not.
    run(tmp_path, THREE, {'word': 'b'}, first='two')
    assert states(folder) == {'one': 'kept', 'two': 'kept', 'three': 'done'}
    with pytest.raises(ValueError, match='--from two comes after --to one'):
        run(tmp_path, THREE, first='two', last='one')
    with pytest.raises(ValueError, match='--from four: .* no such stage'):
        run(tmp_path, THREE, first='four')


def test_from_without_what_is_needed(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        run(tmp_path, THREE, first='two')
    assert str(error.value).startswith("stage 'two' needs stage 'one'")
    # The third one needs nothing.
    folder = run(tmp_path, THREE, first='three')
    assert states(folder) == {'one': '-', 'two': '-', 'three': 'done'}
    with pytest.raises(FileNotFoundError) as error:
        run(tmp_path, [TRAINING, TESTING], first='maps')
    assert str(error.value) == (
        "stage 'maps' needs the checkpoint of 'net', and there is none in "
        f'{tmp_path}/work/net; run that stage first'
    )


def test_a_checkpoint_that_was_removed(tmp_path):
    folder = run(tmp_path, [TRAINING, TESTING], last='net')
    (folder / 'net/epoch_2.pth').unlink()
    with pytest.raises(FileNotFoundError) as error:
        run(tmp_path, [TRAINING, TESTING])
    assert str(error.value) == (
        "stage 'maps' needs the checkpoint of 'net', and there is none in "
        f'{folder}/net; remove this folder to run that stage again'
    )
    shutil.rmtree(folder / 'net')
    run(tmp_path, [TRAINING, TESTING])
    assert states(folder) == {'net': 'done', 'maps': 'done'}


def test_dry_run_from_the_middle(tmp_path, capsys):
    last = {**USER, 'args': ['{one.dir}', '{net.checkpoint}']}
    stages = [WRITER, TRAINING, last]
    run(tmp_path, stages, last='one')
    show_plan(read(tmp_path, stages), first='net')
    assert '[3/3] two: runs\n' in capsys.readouterr().out


def test_a_stage_that_is_killed(tmp_path):
    text = 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n'
    pipeline = read(tmp_path, [WRITER])
    (tmp_path / 'tools/write.py').write_text(text)
    with pytest.raises(ChildProcessError, match="'one' was killed by SIGKILL"):
        run_pipeline(pipeline)


def test_dry_run_writes_nothing(tmp_path, capsys):
    show_plan(read(tmp_path, [TRAINING, TESTING]))
    assert not (tmp_path / 'work').exists()
    printed = capsys.readouterr().out
    assert '[1/2] net: runs\n' in printed
    assert "net.py '{net.checkpoint}' --work-dir" in printed
    folder = run(tmp_path, [TRAINING, TESTING])
    before = all_files(folder)
    capsys.readouterr()
    show_plan(read(tmp_path, [TRAINING, TESTING], {'word': 'b'}))
    printed = capsys.readouterr().out
    assert '[1/2] net: runs anew (cfg_options changed)' in printed
    assert "[2/2] maps: runs anew (the run of 'net' changed)" in printed
    assert f'{folder}/net/epoch_2.pth' in printed
    assert all_files(folder) == before


def test_evaluation_alone_is_done_again(tmp_path, capsys):
    given = dict(labels='{dir}/labels', masks='m', classes='a,b')
    folder = run(tmp_path, [{**WRITER, 'evaluate': given}])
    expected = {'lines': 1, 'mIoU': 60.0, 'mRecall': None}
    assert summary(folder)['one']['metrics'] == expected
    changed = [{**WRITER, 'evaluate': {**given, 'masks': 'n'}}]
    run(tmp_path, changed)
    assert (folder / 'one/text.txt').read_text() == 'a\n'
    assert "labels', 'n', '--classes'" in capsys.readouterr().out
    # Without evaluation its metrics go, and the stage stays.
    run(tmp_path, [WRITER])
    assert summary(folder)['one']['metrics'] == {'lines': 1}
    assert (folder / 'one/text.txt').read_text() == 'a\n'


def test_files_of_others_are_not_touched(tmp_path):
    (tmp_path / 'work/one').mkdir(parents=True)
    (tmp_path / 'work/one/thesis.txt').write_text('')
    with pytest.raises(ValueError, match='work/one: holds files that are not'):
        run(tmp_path, THREE)
    assert os.listdir(tmp_path / 'work/one') == ['thesis.txt']


def test_a_page_that_cannot_be_made_stops_nothing(tmp_path, capsys):
    page = dict(list=str(tmp_path / 'none.txt'))
    folder = run(tmp_path, THREE, page=page)
    assert set(states(folder).values()) == {'done'}
    assert 'no page: ' in capsys.readouterr().out


LINUX = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='only Linux can'
)


def python(code):
    return [sys.executable, '-c', code]


def test_output_goes_to_both(tmp_path, capsys):
    log = tmp_path / 'log.txt'
    log.write_text('first\n')
    code = "import sys; print('ä'); print('b', file=sys.stderr); sys.exit(3)"
    assert run_logged(python(code), str(log)) == 3
    assert sorted(capsys.readouterr().out.splitlines()) == ['b', 'ä']
    assert sorted(log.read_text(encoding='utf-8').splitlines()) == [
        'b',
        'first',
        'ä',
    ]


def test_signal(tmp_path):
    code = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    log = str(tmp_path / 'log.txt')
    assert run_logged(python(code), log) == -signal.SIGKILL


@pytest.mark.slow
@LINUX
def test_a_stage_dies_with_the_pipeline(tmp_path):
    stage = tmp_path / 'stage.py'
    stage.write_text(
        'import os, sys, time\n'
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        'time.sleep(60)\n'
    )
    code = (
        'import sys\n'
        'from mmwsl.pipeline.running import run_logged\n'
        'run_logged([sys.executable, *sys.argv[1:3]], sys.argv[3])\n'
    )
    pid_file = tmp_path / 'pid'
    line = [*python(code), stage, pid_file, tmp_path / 'log.txt']
    pipeline = subprocess.Popen(line)
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text())
    finally:
        pipeline.kill()
        pipeline.wait()
    pid = int(pid_file.read_text())
    wait_for(lambda: not runs(pid))


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_at_a_time(tmp_path):
    pipeline = read(tmp_path, [WRITER])
    os.makedirs(pipeline.work_dir)
    lock = FileLock(os.path.join(pipeline.work_dir, '.lock'))
    message = f'{pipeline.work_dir}: another pipeline is running'
    with lock, pytest.raises(OSError, match=message):
        run_pipeline(pipeline)
    run_pipeline(pipeline)
    # Also after it.
    run_pipeline(pipeline)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('', ''),
        ('a\n\nValueError: b\n \n', 'ValueError: b'),
        ('error: x\nerror: y z\n(set MMWSL)\n', 'y z'),
        ('error: x\n' + 'a\n' * 20000, 'a'),
    ],
)
def test_last_error(tmp_path, text, expected):
    (tmp_path / 'log.txt').write_text(text)
    assert last_error(str(tmp_path / 'log.txt')) == expected


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def json_lines(*entries):
    return '\n'.join(json.dumps(entry) for entry in entries) + '\n'


def test_training_over_attempts(tmp_path):
    scalars = '{}/vis_data/scalars.json'.format
    write_text(
        tmp_path / scalars('20260101_000000'),
        json_lines(
            {'lr': 1, 'loss': 3.0, 'epoch': 1}, {'mAP': 1.0, 'mIoU': 2.0}
        )
        + '{"lr": 0.1, "lo',
    )
    write_text(
        tmp_path / scalars('20260101_000001'),
        json_lines(
            {'lr': 1, 'loss': 2.0, 'memory': 7},
            {'mAP': 5.0, 'data_time': 1, 'time': 1, 'step': 4},
            {'labelled': 60.5, 'name': 'x', 'flag': True},
            {'lr': 1, 'loss': 1.0},
        ),
    )
    assert stage_metrics(str(tmp_path), 'train') == {
        'loss': 1.0,
        'mAP': 5.0,
        'mIoU': 2.0,
        'labelled': 60.5,
    }


def test_the_last_test_counts(tmp_path):
    for number, value in enumerate((1.0, float('nan'))):
        stamp = f'20260101_00000{number}'
        text = json.dumps({'mIoU': value, 'time': 2.0})
        write_text(tmp_path / stamp / f'{stamp}.json', text)
    assert stage_metrics(str(tmp_path), 'test') == {'mIoU': None}


def test_tools_and_evaluation(tmp_path):
    assert stage_metrics(str(tmp_path), 'tool') == {}
    write_text(tmp_path / 'metrics.json', '{"boxes": 3, "mIoU": 1, "time": 2}')
    write_text(tmp_path / 'evaluation.json', '{"mIoU": 50.5, "mRecall": null}')
    assert stage_metrics(str(tmp_path), 'tool') == {
        'tool/mIoU': 1,
        'boxes': 3,
        'mIoU': 50.5,
        'time': 2,
        'mRecall': None,
    }


def test_names_of_two_sources(tmp_path):
    scores = tmp_path / '20260101_000000/vis_data/scalars.json'
    write_text(scores, json_lines({'mIoU': 20.0, 'mAP': 1.0}))
    write_text(tmp_path / 'evaluation.json', '{"mIoU": 50.5}')
    assert stage_metrics(str(tmp_path), 'train') == {
        'mIoU': 50.5,
        'mAP': 1.0,
        'val/mIoU': 20.0,
    }


@pytest.mark.parametrize('text', ['[1]', '{"a": "b"}', '{"a": {}}', '{'])
def test_bad_metrics_name_the_file(tmp_path, text):
    write_text(tmp_path / 'metrics.json', text)
    with pytest.raises(ValueError, match=r'^\S*metrics.json: '):
        stage_metrics(str(tmp_path), 'tool')


@pytest.mark.parametrize(
    'change',
    [
        dict(run=3),
        dict(identity=[]),
        dict(identity=dict(settings={}, uses=None)),
        dict(metrics=dict(mIoU='high')),
        dict(seconds=None),
        dict(attempts=float('inf')),
    ],
)
@pytest.mark.parametrize('name', ['stage.json', 'started.json'])
def test_notes_that_were_changed_are_named(tmp_path, change, name):
    pipeline = read(tmp_path, [WRITER])
    run_pipeline(pipeline)
    path = tmp_path / 'work/one/stage.json'
    note = {**json.loads(path.read_text()), 'began': 1.0, **change}
    path.unlink()
    path.with_name(name).write_text(json.dumps(note))
    with pytest.raises(ValueError, match=f'^{path.with_name(name)}: '):
        show_plan(pipeline)


def test_scalars_that_are_none_are_passed_over(tmp_path):
    text = '3\n[1]\n{"lr": 1, "loss": "x"}\n{"mAP": 2.0}\n' + '[' * 100000
    write_text(tmp_path / '2026/vis_data/scalars.json', text)
    assert stage_metrics(str(tmp_path), 'train') == {'mAP': 2.0}
