import os

import pytest

from mmwsl.datasets.files import (
    FileIndex,
    files_by_id,
    find_files,
    image_id,
    read_lines,
    read_names,
)


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_find_image(tmp_path):
    make(tmp_path, 'a.png', 'a.txt', 'b.PNG', 'b.jpg', 'c.v2.tif', 'd.xml')
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
    assert find('b.png') == 'b.PNG'
    assert 'whose suffix is none' in files.why_missing(str(tmp_path / 'd.xml'))
    assert find('none/a') is None


def test_exists_reads_each_folder_once(tmp_path, monkeypatch):
    make(tmp_path, 'a.xml')
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
        ('data/../other/a.jpg', 'data', 'other/a'),
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


def test_what_is_no_image_is_passed_over(tmp_path, said):
    root = tmp_path / 'images'
    make(root, 'a.jfif', 'b/c.JPG', 'b/d.heic', 'b/e', 'b/.f.jpg', '.g/h.jpg')
    make(root, '__MACOSX/i.jpg')
    (root / 'b' / 'up').symlink_to('..')
    (root / 'a').symlink_to('b')
    (root / 'z').symlink_to(tmp_path / 'elsewhere')
    make(tmp_path, 'elsewhere/j.png')
    (tmp_path / 'elsewhere' / 'back').symlink_to(root)
    for _ in range(2):
        found = [os.path.relpath(x, root) for x in find_files(str(root))]
        assert found == ['a.jfif', 'b/c.JPG', 'z/j.png']
    assert len(said) == 1
    assert '1 .heic, 1 no suffix' in said[0]


def test_files_by_id(tmp_path):
    make(tmp_path, 'x/a.png')
    path = str(tmp_path / 'x/a.png')
    assert files_by_id(str(tmp_path)) == {'x/a': path}
    make(tmp_path, 'x/a.jpg')
    with pytest.raises(ValueError, match='a.png: has the same image id as'):
        files_by_id(str(tmp_path))
    with pytest.raises(ValueError, match='holds no .npz file'):
        files_by_id(str(tmp_path), ['.npz'])
    with pytest.raises(FileNotFoundError, match='none: folder does not exist'):
        files_by_id(str(tmp_path / 'none'))


def test_read_names(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('\ufeffcat \n\n big dog\r\n\n', encoding='utf-8')
    assert read_names(str(path), 'list') == ['cat', 'big dog']
    for text, message in ((' \n', 'is empty'), ('a\nb\na', "'a' 2 times")):
        path.write_text(text)
        with pytest.raises(ValueError, match=f'names.txt: list .*{message}'):
            read_names(str(path), 'list')
