import json

import numpy as np
import pytest

from mmwsl.proposals import read_proposals, write_proposals
from mmwsl.structures import Proposals
from tool_calls import call, error, fails


@pytest.fixture
def masks():
    return np.random.default_rng(0).random((4, 5, 6)) > 0.5


@pytest.fixture
def source(tmp_path, masks):
    for number, img_id in enumerate(('a', 'x/b')):
        packed = Proposals(masks[number:], range(4 - number))
        write_proposals(str(tmp_path / 'in' / f'{img_id}.npz'), packed)
    return tmp_path / 'in'


@pytest.mark.parametrize('suffix', ['.json', '.npz', '.npy'])
def test_round_trips(tool, tmp_path, source, masks, suffix, capsys):
    there, back = tmp_path / 'there', tmp_path / 'back'
    assert call(tool, source, there, '--to', suffix) == 0
    assert 'there: proposals of 2 images' in capsys.readouterr().out
    assert (there / 'x' / f'b{suffix}').is_file()
    assert call(tool, there, back, '--max-proposals', '2') == 0
    found = read_proposals(str(back / 'x' / 'b.npz'))
    # Best first: the highest scores stand last in the source.
    np.testing.assert_array_equal(found.masks, masks[[3, 2]])
    if suffix != '.npy':
        assert found.scores.tolist() == [2, 1]


def test_through_one_list(tool, tmp_path, source, masks):
    assert call(tool, source, tmp_path / 'all.json') == 0
    items = json.loads((tmp_path / 'all.json').read_text())
    assert {item['image_id'] for item in items} == {'a', 'x/b'}
    assert call(tool, tmp_path / 'all.json', tmp_path / 'back') == 0
    found = read_proposals(str(tmp_path / 'back' / 'a.npz'))
    np.testing.assert_array_equal(found.masks, masks[::-1])


def test_lists_with_numbers(tool, tmp_path):
    item = dict(segmentation=dict(size=[1, 2], counts=[1, 1]), image_id=3)
    (tmp_path / 'all.json').write_text(json.dumps([item]))
    images = dict(images=[dict(id=3, file_name='val/three.jpg')])
    (tmp_path / 'coco.json').write_text(json.dumps(images))
    args = [tmp_path / 'all.json', tmp_path / 'out']
    assert call(tool, *args, '--images', tmp_path / 'coco.json') == 0
    assert (tmp_path / 'out' / 'val' / 'three.npz').is_file()


@pytest.mark.parametrize(
    'content', ['{}', '[]', '{"images": [{"id": 3}]}', '{"images": null}']
)
def test_images_without_names(tool, tmp_path, content, capsys):
    item = dict(segmentation=dict(size=[1, 2], counts=[1, 1]), image_id=3)
    (tmp_path / 'all.json').write_text(json.dumps([item]))
    (tmp_path / 'coco.json').write_text(content)
    args = [tmp_path / 'all.json', tmp_path / 'out']
    assert call(tool, *args, '--images', tmp_path / 'coco.json') == 1
    assert 'coco.json: images is no list of' in error(capsys.readouterr())


def test_damaged_member(tool, tmp_path, source, capsys):
    content = bytearray((source / 'a.npz').read_bytes())
    # Behind the 30 bytes of its header, its name and 20 extra bytes.
    start = 50 + len('bits.npy')
    content[start : start + 20] = b'\xff' * 20
    (source / 'a.npz').write_bytes(content)
    assert call(tool, source, tmp_path / 'out') == 1
    assert 'a.npz: proposal file holds no plain' in error(capsys.readouterr())


def test_errors(tool, tmp_path, source, capsys):
    assert call(tool, tmp_path / 'no', tmp_path / 'out') == 1
    assert 'no: folder does not exist' in error(capsys.readouterr())
    (tmp_path / 'none').mkdir()
    assert call(tool, tmp_path / 'none', tmp_path / 'out') == 1
    assert 'none: holds no .npz, .npy' in error(capsys.readouterr())
    (source / 'a.npy').write_bytes(b'')
    assert 'same image id' in fails(tool, capsys, source, tmp_path / 'out')
    (source / 'a.npz').unlink()
    assert call(tool, source, tmp_path / 'out') == 1
    assert 'a.npy: proposal file is empty' in error(capsys.readouterr())
    assert call(tool, source, tmp_path / 'out', '--max-proposals', '0') == 2


@pytest.mark.parametrize('img_id', ['../out/evil', '/tmp/evil', 'C:evil', ''])
def test_ids_stay_inside_the_folder(tool, tmp_path, capsys, img_id):
    item = dict(segmentation=dict(size=[1, 2], counts=[1, 1]), image_id=img_id)
    (tmp_path / 'all.json').write_text(json.dumps([item]))
    assert call(tool, tmp_path / 'all.json', tmp_path / 'new' / 'x') == 1
    assert repr(img_id) in error(capsys.readouterr())
    assert [path.name for path in tmp_path.iterdir()] == ['all.json']
