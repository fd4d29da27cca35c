import json
import re

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from mmwsl.datasets import WSOLDataset
from tool_calls import call, error, fails

CAT, DOG = 7, 11
FOLDERS = ('JPEGImages', 'Annotations', 'SegmentationClass')


def xml(*objects):
    """An annotation of 96 x 72; objects are (name, difficult, xmin)."""
    nodes = ''.join(
        f'<object><name>{name}</name><difficult>{difficult}</difficult>'
        f'<bndbox><xmin>{left}</xmin><ymin>20</ymin><xmax>50</xmax>'
        '<ymax>60</ymax></bndbox></object>'
        for name, difficult, left in objects
    )
    return f'<annotation>{nodes}</annotation>'


@pytest.fixture
def voc(tmp_path):
    """Four images; the first shows a cat, a dog and a difficult cat."""
    root = tmp_path / 'voc'
    for folder in (*FOLDERS, 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    images = {
        'a': [('cat', 0, 10), ('dog', 0, 1), ('cat', 1, 10)],
        'b': [('dog', 0, 10)],
        'c': [('cat', 0, 10)],
        'd': [('dog', 0, 10)],
    }
    rng = np.random.default_rng(0)
    for name, objects in images.items():
        (root / 'Annotations' / f'{name}.xml').write_text(xml(*objects))
        img = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(root / 'JPEGImages' / f'{name}.jpg'), img)
        mask = np.zeros((72, 96), np.uint8)
        mask[20:60, 10:50] = (CAT if name == 'c' else DOG) + 1
        if name == 'a':
            mask[:20], mask[20:30], mask[30:31] = CAT + 1, DOG + 1, 255
            mask[31:] = 0
        Image.fromarray(mask).save(root / f'SegmentationClass/{name}.png')
    (root / 'ImageSets/Segmentation/val.txt').write_text('\n'.join(images))
    return root


def convert(tool, voc, *args):
    out = voc.parent / 'out'
    # As in a process of its own.
    DefaultScope._instance_dict.clear()
    assert call(tool, out, '--voc', voc, *args) == 0
    return out


def read(out, **kwargs):
    return WSOLDataset(
        data_root=str(out),
        ann_file='metadata',
        data_prefix=dict(img_path='images', mask_path='masks'),
        test_mode=True,
        **kwargs,
    )


def ids(out):
    return (out / 'metadata' / 'image_ids.txt').read_text().split()


def test_an_entry_for_each_image_and_class(tool, voc, capsys):
    out = convert(tool, voc)
    assert '5 entries' in capsys.readouterr().out
    assert ids(out) == [
        'a/cat.jpg', 'a/dog.jpg', 'b/dog.jpg', 'c/cat.jpg', 'd/dog.jpg'
    ]  # fmt: skip
    folder = out / 'metadata'
    lines = (folder / 'localization.txt').read_text().splitlines()
    # xmin 10 is the tenth pixel, whose left edge is 9; the difficult cat is
    # left out.
    assert lines[:2] == ['a/cat.jpg,9,19,50,60', 'a/dog.jpg,0,19,50,60']
    assert len(lines) == 5
    sizes = (folder / 'image_sizes.txt').read_text().splitlines()
    assert sizes[0] == 'a/cat.jpg,96,72'
    labels = (folder / 'class_labels.txt').read_text().splitlines()
    assert labels[1] == f'a/dog.jpg,{DOG}'
    # Nothing is copied: both entries of an image name its file.
    assert not (out / 'images').exists()
    data = read(out)
    first, second = data.get_data_info(0), data.get_data_info(1)
    assert first['img_path'] == second['img_path']
    assert first['img_path'].endswith('JPEGImages/a.jpg')
    assert second['eval_ann']['boxes'].tolist() == [[0, 19, 50, 60]]
    assert data.metainfo['classes'][DOG] == 'dog'


def test_images_of_one_class_keep_their_ids(tool, voc):
    out = convert(tool, voc, '--entries', 'single', '--truth', 'none')
    assert ids(out) == ['b.jpg', 'c.jpg', 'd.jpg']
    assert not (out / 'metadata' / 'localization.txt').exists()
    assert len(read(out)) == 3


def test_masks_and_images_for_other_programs(tool, voc):
    out = convert(tool, voc, '--truth', 'mask', '--write-images')
    assert not (out / 'metadata' / 'image_paths.txt').exists()
    source = (voc / 'JPEGImages' / 'a.jpg').read_bytes()
    assert (out / 'images' / 'a' / 'dog.jpg').read_bytes() == source
    lines = (out / 'metadata' / 'localization.txt').read_text().splitlines()
    assert lines[1:3] == [
        'a/dog.jpg,a/dog.png,a/dog_ignore.png',
        'b/dog.jpg,b/dog.png,',
    ]
    pipeline = [
        dict(type='LoadWSLImage'),
        dict(type='LoadEvalAnnotations'),
        dict(type='PackWSLInputs', eval_keys=('gt_sem_seg',)),
    ]
    sample = read(out, pipeline=pipeline)[1]['data_samples']
    column = sample.gt_sem_seg.data[0, :, 0].numpy()
    assert (column[:20] == 0).all()
    assert (column[20:30] == DOG + 1).all()
    assert column[30] == 255
    assert (column[31:] == 0).all()


def test_coco(tool, tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((20, 30, 3), np.uint8))
    box = dict(image_id=1, category_id=4, bbox=[1.5, 2, 4.2, 18.3])
    content = dict(
        images=[dict(id=1, file_name='1.png')],
        categories=[dict(id=4, name='cup'), dict(id=2, name='n/a')],
        annotations=[
            dict(box, id=1),
            dict(box, id=2, bbox=[3, 3, 1, 1], iscrowd=1),
            dict(box, id=3, category_id=2, bbox=[0, 0, 3, 3]),
        ],
    )
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    out = tmp_path / 'out'
    images = ('--images', tmp_path)
    assert call(tool, out, '--coco', tmp_path / 'coco.json', *images) == 0
    lines = (out / 'metadata' / 'localization.txt').read_text().splitlines()
    # Rounded outwards, and cut at the border.
    assert lines == ['1/n_a.png,0,0,3,3', '1/cup.png,1,2,6,20']
    assert len(read(out)) == 2


def test_a_config_without_image_files(tool, tmp_path, repo_root):
    config = repo_root / 'configs' / '_base_' / 'datasets' / 'toy_wsol.py'
    options = ['--cfg-options', 'val_dataloader.dataset.num_images=2']
    given = ['--config', config, '--split', 'val', '--entries', 'single']
    out = tmp_path / 'out'
    assert call(tool, out, *given, *options) == 0
    assert ids(out) == ['toy/1000/000000.png', 'toy/1000/000001.png']
    info = read(out).get_data_info(1)
    assert cv2.imread(info['img_path']).shape == (112, 112, 3)


def test_entries_of_a_config_are_taken_as_they_are(tool, voc, repo_root):
    name = 'voc12-2007_wsol.py'
    config = repo_root / 'configs' / '_base_' / 'datasets' / name
    out = voc.parent / 'out'
    given = ['--config', config, '--cfg-options', f'data_root={voc}']
    assert call(tool, out, *given) == 0
    assert len(ids(out)) == 5


def test_errors(tool, voc, capsys):
    out = voc.parent / 'out'
    out.mkdir()
    (out / 'a').write_text('')
    assert 'out: is there already' in fails(tool, capsys, out, '--voc', voc)
    given = ('--voc', voc, '--list', 'no.txt')
    assert call(tool, out / 'b', *given) == 1
    assert 'no.txt: list of images does not' in error(capsys.readouterr())
    (voc / 'SegmentationClass' / 'c.png').unlink()
    assert call(tool, out / 'b', '--voc', voc, '--truth', 'mask') == 1
    assert 'c.png: mask does not exist' in error(capsys.readouterr())


@pytest.mark.parametrize(
    ('edges', 'message'),
    [
        ((10, 20, 98, 60), 'box (9, 19, 98, 60) is outside the image'),
        ((110, 20, 120, 60), 'box (109, 19, 120, 60) is outside the image'),
        (('nan', 20, 50, 60), 'nan'),
        ((50, 20, 10, 60), 'object 1 has an inverted box'),
        ((97.3, 20, 96.4, 60), 'inverted'),
        ((97.3, 20, 97.3, 60), 'outside'),
        ((97.1, 20, 97.1, 60), 'outside'),
    ],
)
def test_no_image_has_such_a_box(tool, voc, capsys, edges, message):
    path = voc / 'Annotations' / 'b.xml'
    path.write_text(with_edges(xml(('dog', 0, 10)), edges))
    out = voc.parent / 'out'
    line = fails(tool, capsys, out, '--voc', voc, '--write-images')
    assert line.startswith(f'error: {path}: ')
    assert message in line
    assert not [x for x in voc.parent.iterdir() if x.name.startswith('out')]


def test_boxes_that_leave_the_image_by_rounding(tool, voc):
    path = voc / 'Annotations' / 'b.xml'
    path.write_text(with_edges(xml(('dog', 0, 10)), (0.6, 0.6, 96.4, 72.4)))
    out = convert(tool, voc)
    lines = (out / 'metadata' / 'localization.txt').read_text().splitlines()
    assert lines[2] == 'b/dog.jpg,0,0,96,72'


def with_edges(text, edges):
    """The annotation with another box."""
    for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), edges):
        text = re.sub(f'<{key}>.*</{key}>', f'<{key}>{value}</{key}>', text)
    return text


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ([1, 1, 40, 4], 'image 1: box (1, 1, 41, 5) is outside the image'),
        ([5, 1, 0, 4], 'image 1: box (5, 1, 5, 5) is empty'),
        ([5, 1, -2, 4], 'annotation 1 has the bbox [5, 1, -2, 4]: the w'),
        ([5, 1, np.nan, 4], 'annotation 1 has the bbox [5, 1, nan, 4]: exp'),
    ],
)
def test_bad_boxes_of_coco(tool, tmp_path, capsys, box, message):
    given = write_coco(tmp_path, dict(bbox=box))
    line = fails(tool, capsys, tmp_path / 'out', *given)
    assert line.startswith(f'error: {tmp_path}/coco.json: {message}')
    assert not (tmp_path / 'out').exists()


def test_crowd_regions_are_ignored(tool, tmp_path):
    objects = dict(segmentation=[[0, 0, 10, 0, 10, 20, 0, 20]])
    crowd = dict(segmentation=[[5, 0, 20, 0, 20, 20, 5, 20]], iscrowd=1)
    given = write_coco(tmp_path, objects, crowd)
    out = tmp_path / 'out'
    assert call(tool, out, *given, '--truth', 'mask') == 0
    planes = [
        cv2.imread(str(out / 'masks' / '1' / name), cv2.IMREAD_GRAYSCALE)
        for name in ('red_ green.png', 'red_ green_ignore.png')
    ]
    assert [np.flatnonzero(x[0])[[0, -1]].tolist() for x in planes] == [
        [0, 9],
        [10, 19],
    ]


def test_commas_of_class_names(tool, tmp_path):
    given = write_coco(tmp_path, dict(bbox=[1, 2, 3, 4]))
    assert call(tool, tmp_path / 'out', *given) == 0
    data = read(tmp_path / 'out')
    assert data.classes == ('red, green',)
    info = data.get_data_info(0)
    assert info['img_id'] == '1/red_ green'
    assert info['eval_ann']['boxes'].tolist() == [[1, 2, 4, 6]]


def write_coco(folder, *objects):
    """An image of 30 x 20 and objects of one class; return the arguments."""
    cv2.imwrite(str(folder / '1.png'), np.zeros((20, 30, 3), np.uint8))
    content = dict(
        images=[dict(id=1, file_name='1.png')],
        categories=[dict(id=4, name='red, green')],
        annotations=[
            dict(item, id=number, image_id=1, category_id=4)
            for number, item in enumerate(objects, 1)
        ],
    )
    (folder / 'coco.json').write_text(json.dumps(content))
    return '--coco', folder / 'coco.json', '--images', folder
