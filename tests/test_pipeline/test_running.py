"""Which stages run, run anew, go on, and what is told of them."""

import json
import os
import shutil

import pytest

from mmwsl.pipeline import run_pipeline, show_plan
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
