"""The command that says what is in a folder of own images."""

import json

import cv2
import numpy as np
import pytest

from mmwsl.utils.images import read_index_mask
from tool_calls import call, error

OBJECT = (
    '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>3</ymin>'
    '<xmax>{}</xmax><ymax>25</ymax></bndbox></object>'
)


@pytest.fixture
def data(tmp_path):
    """Twelve images of ants, three also of bees, one without labels."""
    root = tmp_path / 'data'
    root.mkdir()
    for number in range(13):
        path = root / f'{number:02d}.jpg'
        cv2.imwrite(str(path), np.full((300, 320, 3), 20 * number, np.uint8))
        objects = OBJECT.format('ant', 2, 20)
        if number < 3:
            objects += OBJECT.format('bee', 10, 400 if number == 2 else 40)
        if number < 12:
            xml = path.with_suffix('.xml')
            xml.write_text(f'<annotation>{objects}</annotation>')
    return root


def test_what_is_found(tool, data, capsys):
    out = data.parent / 'out'
    assert call(tool, data, out) == 0
    printed = capsys.readouterr()
    assert 'counts from VOC XML; 10 images for training, 2' in printed.out
    assert 'class bee: in 3 images, up to 1 objects' in printed.out
    for part in (
        'ant is in 100 % of the images and cannot be located',
        'bee is in 3 images, 10 or more are better',
        '1 images are not scored',
    ):
        assert f'warning: {part}' in printed.err
    found = json.loads((out / 'data.json').read_text())
    assert found['images'] == dict(ant=12, bee=3)
    assert (found['boxes'], found['unlabelled']) == (11, 1)
    assert json.loads((out / 'values.json').read_text()) == dict(size=256)
    assert (out / 'classes.txt').read_text() == 'ant\nbee\n'
    mask = read_index_mask(str(out / 'boxes/00.png'))
    assert (mask[10, 5], mask[10, 30]) == (1, 2)
    assert mask[10, 15] == 255
    # Only what can be judged is listed, and pages show the other image too.
    listed = [(out / f'{x}.txt').read_text().split() for x in ('train', 'val')]
    assert sorted(sum(listed, [])) == sorted(
        path.stem for path in (out / 'boxes').glob('*.png')
    )
    assert '12' in (out / 'shown.txt').read_text().split()


def test_data_without_boxes(tool, data, capsys):
    (data / 'labels.csv').write_text(
        'path,label\n' + '\n'.join(f'{n:02d}.jpg,ant' for n in range(5))
    )
    out = data.parent / 'out'
    assert call(tool, data, out) == 1
    assert 'labels=PATH' in error(capsys.readouterr())
    assert call(tool, data, out, '--labels', 'labels.csv') == 0
    assert '4 images for training' in capsys.readouterr().out
    assert not (out / 'boxes').exists()
    assert len((out / 'train.txt').read_text().split()) == 4
