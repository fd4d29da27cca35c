import os

import pytest

from mmwsl.datasets.files import FileIndex, image_id, read_lines


def touch(*paths):
    for path in paths:
        path.write_bytes(b'')


def test_find_image(tmp_path):
    names = ('a.png', 'a.txt', 'b.PNG', 'b.jpg', 'c.v2.tif', 'd.xml')
    touch(*(tmp_path / name for name in names))
    files = FileIndex()

    def find(name):
        found = files.find_image(str(tmp_path / name))
        return found and os.path.basename(found)

    assert find('a') == 'a.png'
    assert find('a.png') == 'a.png'
    # Of two images the first suffix in the documented order is taken.
    assert find('b') == 'b.jpg'
    assert find('b.PNG') == 'b.PNG'
    assert find('c.v2') == 'c.v2.tif'
    assert find('d') is None
    assert find('a.jpg') is None
    assert find('none/a') is None


def test_exists_reads_each_folder_once(tmp_path, monkeypatch):
    touch(tmp_path / 'a.xml')
    files = FileIndex()
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(
        os, 'listdir', lambda path: listed.append(path) or listdir(path)
    )
    assert files.exists(str(tmp_path / 'a.xml'))
    assert not files.exists(str(tmp_path / 'b.xml'))
    assert listed == [str(tmp_path)]


@pytest.mark.parametrize(
    ('path', 'folder', 'expected'),
    [
        ('data/JPEGImages/a.jpg', 'data/JPEGImages', 'a'),
        ('data/JPEGImages/x/a.b.jpg', 'data/JPEGImages', 'x/a.b'),
        ('other/a.jpg', 'data', 'other/a'),
        ('/other/a.jpg', '/data', 'other/a'),
        ('a.jpg', '', 'a'),
    ],
)
def test_image_id(path, folder, expected):
    assert image_id(path, folder) == expected


def test_read_lines(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes('\ufeffa\r\nb'.encode())
    assert read_lines(str(path), 'list') == ['a', 'b']
    with pytest.raises(FileNotFoundError, match='none.txt: list does not'):
        read_lines('none.txt', 'list')
