"""The command that says what is in a folder of own images."""

import json

import cv2
import numpy as np
import pytest

from mmwsl.utils.images import read_index_mask
from tool_calls import call, fails

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
    values = json.loads((out / 'values.json').read_text())
    assert values == dict(size=256, max_value=65535)
    assert (out / 'classes.txt').read_text() == 'ant\nbee\n'
    mask = read_index_mask(str(out / 'boxes/00.png'))
    assert (mask[10, 5], mask[10, 30]) == (1, 2)
    assert mask[10, 15] == 255
    # What can be judged is listed, and pages show the other image too.
    ids = {
        name: (out / f'{name}.txt').read_text().split()
        for name in ('train', 'val', 'unlabelled', 'shown')
    }
    assert sorted(ids['train'] + ids['val']) == [f'{x:02d}' for x in range(12)]
    listed = [
        (out / f'{part}_boxes.txt').read_text().split()
        for part in ('train', 'val')
    ]
    assert sorted(sum(listed, [])) == sorted(
        path.stem for path in (out / 'boxes').glob('*.png')
    )
    assert ids['unlabelled'] == ['12']
    assert '12' in ids['shown']


def test_data_without_boxes(tool, data, capsys):
    (data / 'labels.csv').write_text(
        'path,label\n' + '\n'.join(f'{n:02d}.jpg,ant' for n in range(5))
    )
    out = data.parent / 'out'
    assert 'labels=PATH' in fails(tool, capsys, data, out)
    assert call(tool, data, out, '--labels', 'labels.csv') == 0
    assert '4 images for training' in capsys.readouterr().out
    assert not (out / 'boxes').exists()
    assert len((out / 'train.txt').read_text().split()) == 4
    assert (out / 'train_boxes.txt').read_text() == ''


def test_images_of_twelve_bits(tool, data, capsys):
    """They are asked for by name, and later stages are told."""
    deep = np.full((300, 320), 4000, np.uint16)
    cv2.imwrite(str(data / '12.png'), deep)
    (data / '12.jpg').unlink()
    out = data.parent / 'out'
    # An image without labels is read as well, hours before it is predicted.
    assert '12.png' in fails(tool, capsys, data, out)
    assert call(tool, data, out, '--max-value', 4095) == 0
    values = json.loads((out / 'values.json').read_text())
    assert values['max_value'] == 4095


def test_a_table_with_other_headers(tool, data):
    for path in data.glob('*.xml'):
        path.unlink()
    (data / 'tags.csv').write_text(
        'tag,image\n' + ''.join(f'ant,{n:02d}.jpg\n' for n in range(5))
    )
    out = data.parent / 'out'
    assert call(tool, data, out, '--columns', 'image,tag') == 0
    assert (out / 'classes.txt').read_text() == 'ant\n'
