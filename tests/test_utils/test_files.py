"""Tests of files that appear whole, stay inside, and are named in errors."""

import errno
import os
import socket
from unittest.mock import Mock

import numpy as np
import pytest

from mmwsl.utils import files
from mmwsl.utils.files import (
    join_inside,
    naming,
    read_arrays,
    read_json,
    write_arrays,
    write_whole,
)


@pytest.mark.parametrize('name', ['a', 'a.b/c d', 'ü/#1?%', '..a/b..', 'a b'])
def test_names_inside_a_folder(name, tmp_path) -> None:
    folder = str(tmp_path)
    assert join_inside(folder, name, '.png') == f'{folder}/{name}.png'
    assert join_inside('', name) == name


@pytest.mark.parametrize(
    'name',
    [
        '',
        '.',
        'a/',
        '/etc/passwd',
        '../a',
        '..',
        'a\\..\\..\\b',
        '\\\\host\\share',
        'C:a',
        'a\0b',
        None,
    ],
)
def test_names_that_leave_a_folder(name, tmp_path) -> None:
    with pytest.raises(ValueError) as error:
        join_inside(str(tmp_path), name)
    assert repr(name) in str(error.value)


def test_links_that_leave_a_folder(tmp_path) -> None:
    folder, other = tmp_path / 'in', tmp_path / 'in2'
    folder.mkdir()
    other.mkdir()
    (folder / 'out').symlink_to(other)
    (folder / 'inside').symlink_to(folder)
    (tmp_path / 'link').symlink_to(folder)
    with pytest.raises(ValueError, match='out/a'):
        join_inside(str(folder), 'out/a')
    join_inside(str(folder), 'out/a', links=True)
    join_inside(str(folder), 'inside/a')
    join_inside(str(tmp_path / 'link'), 'a')


def test_writes_and_replaces(tmp_path, monkeypatch):
    path = tmp_path / 'a' / 'b.bin'
    write_whole(str(path), b'first')
    write_whole(str(path), b'second')
    assert path.read_bytes() == b'second'
    assert [p.name for p in path.parent.iterdir()] == ['b.bin']
    monkeypatch.chdir(tmp_path)
    write_whole('plain', b'x')
    assert (tmp_path / 'plain').read_bytes() == b'x'


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'a'
    path.write_bytes(b'old')
    monkeypatch.setattr(os, 'replace', Mock(side_effect=OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        write_whole(str(path), b'new')
    assert [p.name for p in tmp_path.iterdir()] == ['a']
    assert path.read_bytes() == b'old'


def test_a_full_disk_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        files,
        'open',
        Mock(side_effect=OSError(errno.ENOSPC, 'No space left on device')),
        raising=False,
    )
    with pytest.raises(OSError, match='my file') as error:
        write_whole(str(tmp_path / 'my file'), b'')
    assert error.value.errno == errno.ENOSPC


def test_what_killed_processes_left_is_removed(tmp_path) -> None:
    host = socket.gethostname()
    # No process has a number beyond the limit of 2 ** 22.
    dead = tmp_path / f'.{host}-99999999.tmp'
    alive = tmp_path / f'.{host}-{os.getppid()}.tmp'
    elsewhere = tmp_path / '.other-99999999.tmp'
    for file in (dead, alive, elsewhere):
        file.touch()
    write_whole(str(tmp_path / 'a'), b'')
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {'a', alive.name, elsewhere.name}


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        (b'', 'empty'),
        (b'{"a": 1', 'JSON'),
        (b'\xff\xfe', 'JSON'),
        (b'[' * 100000, 'deep'),
    ],
)
def test_broken_json_is_named(content, what, tmp_path) -> None:
    path = tmp_path / 'list.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=what) as error:
        read_json(str(path))
    assert str(error.value).startswith(str(path))


def test_arrays(tmp_path) -> None:
    path = str(tmp_path / 'new' / 'a.npz')
    write_arrays(path, compressed=True, x=np.arange(3), y=np.array(['z']))
    found = read_arrays(path)
    assert found['x'].tolist() == [0, 1, 2]
    assert found['y'].tolist() == ['z']
    np.save(tmp_path / 'b.npy', np.eye(2))
    assert read_arrays(str(tmp_path / 'b.npy')).tolist() == np.eye(2).tolist()
    with pytest.raises(FileNotFoundError, match=r'c\.npz: map does not'):
        read_arrays('c.npz', 'map')


@pytest.mark.parametrize('name', ['a.npz', 'a.npy'])
def test_no_code_comes_with_arrays(tmp_path, name) -> None:
    path = tmp_path / name
    pickled = np.array([dict()], dtype=object)
    if name == 'a.npz':
        np.savez(path, x=pickled)
    else:
        np.save(path, pickled, allow_pickle=True)
    with pytest.raises(ValueError, match=f'{name}: .* a pickle'):
        read_arrays(str(path))
    for content in (b'', b'text', path.read_bytes()[:50]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'{name}: .*(plain|empty)'):
            read_arrays(str(path))


def test_reads_json(tmp_path) -> None:
    path = tmp_path / 'list.json'
    path.write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    assert read_json(str(path)) == {'a': [1]}
    with pytest.raises(FileNotFoundError, match='gone.json'):
        read_json(str(tmp_path / 'gone.json'))


@pytest.mark.parametrize(
    ('raised', 'message'),
    [
        (ValueError('at place: gone'), 'at place: gone'),
        (ValueError('gone\n  far'), 'place: gone far'),
        (KeyError('id'), "place: KeyError: 'id'"),
        (MemoryError('no room'), 'place: MemoryError: no room'),
    ],
)
def test_errors_name_the_place(raised, message) -> None:
    with pytest.raises(ValueError) as error, naming('place'):
        raise raised
    assert str(error.value) == message


@pytest.mark.parametrize(
    ('raised', 'message'),
    [
        (PermissionError('no'), 'place: no'),
        (OSError(28, 'full'), "[Errno 28] full: 'place'"),
        (FileNotFoundError(2, 'none', 'a'), "[Errno 2] none: 'a'"),
    ],
)
def test_errors_of_the_machine_stay(raised, message) -> None:
    with pytest.raises(type(raised)) as error, naming('place'):
        raise raised
    assert str(error.value) == message
