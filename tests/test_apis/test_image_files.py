"""Tests of making a file for every image."""

import json
import os

import numpy as np
import pytest

from mmwsl.apis.image_files import ImageFiles, make_image_files


def load(entry):
    if entry['img_id'] == 'broken':
        raise ValueError('no picture')
    return dict(entry, img=np.full((2, 2), entry['value']))


def files(folder, names, settings=None, **kwargs):
    settings = settings or dict(level=1)
    entries = [
        dict(img_id=name, img_path=f'{name}.jpg', value=number)
        for number, name in enumerate(names)
    ]

    def write(path, img):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            json.dump(dict(settings, sum=int(img.sum())), file)

    def read(path):
        with open(path) as file:
            text = file.read()
        return json.loads(text) if text else None

    return ImageFiles(
        len(entries),
        entries.__getitem__,
        load,
        str(folder),
        '.json',
        settings,
        write,
        read,
        lambda path: (read(path).get('side', 2), 2),
        **kwargs,
    )


@pytest.mark.parametrize('workers', [0, 2])
def test_makes_what_is_missing(tmp_path, workers):
    assert make_image_files(files(tmp_path, ['a', 'b/c']), workers) == (2, 0)
    assert json.loads((tmp_path / 'b/c.json').read_text())['sum'] == 4
    more = files(tmp_path, ['a', 'b/c', 'd'])
    assert make_image_files(more, workers) == (1, 2)
    again = files(tmp_path, ['a', 'd'], overwrite=True)
    assert make_image_files(again, workers) == (2, 0)


def test_refuses_files_made_otherwise(tmp_path):
    make_image_files(files(tmp_path, ['a']), 0)
    other = files(tmp_path, ['a'], dict(level=2))
    with pytest.raises(ValueError, match=r'a\.json: was made with level=1'):
        make_image_files(other, 0)
    (tmp_path / 'a.json').write_text('')
    with pytest.raises(ValueError, match=r'a\.json: was not made by this'):
        make_image_files(other, 0)


def test_names_the_broken_image(tmp_path):
    with pytest.raises(ValueError, match=r'broken\.jpg: no picture'):
        make_image_files(files(tmp_path, ['a', 'broken', 'b']), 0)
    assert sorted(os.listdir(tmp_path)) == ['a.json']


def test_refuses_files_of_another_size(tmp_path):
    make_image_files(files(tmp_path, ['a']), 0)
    (tmp_path / 'a.json').write_text('{"level": 1, "side": 3}')
    with pytest.raises(ValueError, match=r'a\.json: .* 2 x 3 .* 2 x 2'):
        make_image_files(files(tmp_path, ['a']), 0)
    assert make_image_files(files(tmp_path, ['a'], overwrite=True), 0)[0] == 1
