"""Labels on disk in, files of other tools out."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from export_readers import overlap, read_coco, read_voc, read_yolo
from mmwsl.apis import WSLInferencer, init_model
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.structures import WSLDataSample
from mmwsl.utils.masks import encode_mask
from tool_calls import call, error, fails
from toy_run import CONFIG

SIZE = (30, 20)


@pytest.fixture
def images(tmp_path):
    """Two images; the second is stored lying, to be turned when shown."""
    folder = tmp_path / 'images'
    (folder / 'sub').mkdir(parents=True)
    Image.new('RGB', SIZE[::-1]).save(folder / 'a.png')
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', SIZE).save(folder / 'sub/b.jpg', exif=exif)
    Image.new('RGB', (9, 9)).save(folder / 'not predicted.png')
    return folder


def planes():
    first, second = np.zeros((2, *SIZE), np.uint8)
    first[3:9, 2:12] = 1
    first[15:25, 5:18] = 2
    first[28:] = 255
    return {'a': first, 'sub/b': second}


@pytest.fixture
def labels(tmp_path):
    folder = tmp_path / 'label maps'
    for name, plane in planes().items():
        write_label_map(str(folder / f'{name}.png'), plane)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def test_label_maps(tool, images, labels, out, capsys):
    args = ['--images', images, '--classes', 'cat,dog']
    assert call(tool, 'coco', labels, out, *args) == 0
    assert f'{out}: coco, 2 images, 2 objects' in capsys.readouterr().out
    found = read_coco(out)
    assert found.keys() == {'a.png', 'sub/b.jpg'}
    for value, (name, mask, item) in enumerate(found['a.png'], 1):
        assert name == ['cat', 'dog'][value - 1]
        np.testing.assert_array_equal(mask, planes()['a'] == value)
        assert 'score' not in item
    assert found['sub/b.jpg'] == []
    for kind in ('yolo-segment', 'voc'):
        assert call(tool, kind, labels, out.parent / kind, *args) == 0
    found = read_yolo(out.parent / 'yolo-segment')
    assert [name for name, _ in found['a.png']] == ['cat', 'dog']
    assert found['sub/b.jpg'] == []
    for file, (_, plane, _) in read_voc(out.parent / 'voc').items():
        np.testing.assert_array_equal(plane, planes()[file[:-4]])


def test_options(tool, images, labels, out):
    args = ['--images', images, '--classes', 'cat,dog', '--min-area', 100]
    args += ['--image-url', 'http://x/', '--model-version', 'v7']
    assert call(tool, 'label-studio', labels, out, *args) == 0
    first, second = json.loads((out / 'tasks.json').read_text())
    assert first['data']['image'] == 'http://x/a.png'
    assert second['data']['image'] == 'http://x/sub/b.jpg'
    versions = [x['model_version'] for x in first['predictions']]
    assert versions == ['v7 rectangle', 'v7 polygon', 'v7 brush']
    assert [len(x['result']) for x in first['predictions']] == [1, 1, 1]


@pytest.fixture
def written(tmp_path):
    """A folder of PseudoLabelWriter, of two classes."""
    folder = tmp_path / 'pseudo labels'
    evaluator = Evaluator(
        [
            dict(
                type='PseudoLabelWriter',
                out_dir=str(folder),
                instances=True,
                counts=True,
            )
        ]
    )
    evaluator.dataset_meta = dict(classes=('cat', 'red dog'))
    for name, plane in planes().items():
        sample = WSLDataSample(metainfo=dict(img_id=name))
        tensor = torch.from_numpy(plane.astype(np.int64))
        sample.pred_sem_seg = PixelData(data=tensor[None])
        masks = tensor[None] == 1
        keep = masks.any().reshape(1)
        sample.pred_instances = InstanceData(
            masks=masks[keep],
            labels=torch.tensor([1])[keep],
            scores=torch.tensor([0.25])[keep],
        )
        sample.set_pred_count([0.0, 3.0])
        evaluator.process([sample])
    evaluator.evaluate(2)
    return folder


def test_pseudo_label_writer(tool, images, written, out):
    args = ['--images', images]
    assert call(tool, 'coco', written, out, *args) == 0
    found = read_coco(out)
    assert found['sub/b.jpg'] == []
    # Instances go before the parts of label maps.
    ((name, mask, item),) = found['a.png']
    assert (name, item['score']) == ('red dog', 0.25)
    np.testing.assert_array_equal(mask, planes()['a'] == 1)
    assert call(tool, 'counts', written, out.parent / 'counts', *args) == 0
    text = (out.parent / 'counts/counts.csv').read_text()
    assert text == 'image,cat,red dog\na.png,0,3\nsub/b.jpg,0,3\n'


def test_files_of_pseudo_label_writer(tool, images, written, out):
    args = ['--images', images]
    assert call(tool, 'counts', written / 'counts.csv', out, *args) == 0
    assert 'a.png,0,3' in (out / 'counts.csv').read_text()
    args += ['--classes', 'x,y']
    source = written / 'instances.json'
    assert call(tool, 'coco', source, out.parent / 'coco', *args) == 0
    # Only images with instances are named.
    assert list(read_coco(out.parent / 'coco')) == ['a.png']


def test_inferencer(tool, images, out, tmp_path):
    torch.manual_seed(0)
    model = init_model(CONFIG)
    inferencer = WSLInferencer(model, show_progress=False)
    called = tmp_path / 'called'
    found = inferencer(
        images,
        labels=['ant', 'emu'],
        out_dir=tmp_path / 'json',
        export={
            'coco': called,
            'voc': dict(out_dir=tmp_path / 'voc', min_area=50),
        },
    )
    assert len(found['predictions']) == 3
    assert call(tool, 'coco', tmp_path / 'json', out) == 0
    # The same as the inferencer writes.
    first, second = (
        json.loads((x / 'annotations.json').read_text()) for x in (called, out)
    )
    assert first == second
    names = [x['name'] for x in first['categories']]
    assert names == ['ant', 'bee', 'cod', 'doe', 'emu', 'fox']
    assert {x['file_name'] for x in first['images']} == {
        'a.png',
        'sub/b.jpg',
        'not predicted.png',
    }
    shown = {x['name'] for y in found['predictions'] for x in y['segments']}
    objects = [x for y in read_coco(called).values() for x in y]
    assert {name for name, _, _ in objects} == shown
    maps = read_voc(tmp_path / 'voc')
    for file, (_, plane, _) in maps.items():
        path = (tmp_path / 'json' / file).with_suffix('.png')
        assert np.array_equal(plane, np.array(Image.open(path)))
    boxes = [x for y in maps.values() for x in y[0]]
    assert len(boxes) <= len(objects)


def test_turned_the_other_way(tool, images, labels, out, capsys):
    write_label_map(str(labels / 'sub/b.png'), planes()['sub/b'].T.copy())
    args = ['--images', images, '--classes', 'cat,dog']
    line = fails(tool, capsys, 'coco', labels, out, *args)
    assert 'sub/b.jpg: is 20 x 30 pixels, but' in line
    assert 'sub/b.png says 30 x 20' in line
    assert not out.exists()


def test_bad_sources(tool, images, labels, out, capsys):
    def fails(*args):
        assert call(tool, 'coco', *args) == 1
        assert not out.exists()
        return error(capsys.readouterr())

    named = ['--images', images, '--classes', 'cat,dog']
    assert 'none: there is no such file' in fails('none', out, *named)
    line = fails(labels, out, '--images', images)
    assert 'label maps: does not name the classes; say --classes' in line
    line = fails(labels, out, '--classes', 'cat,dog')
    assert 'a.png: a: say --images' in line
    line = fails(labels, out, '--images', images, '--classes', 'cat,')
    assert 'a.png: holds class 1, counted from 0' in line
    (images / 'a.png').unlink()
    line = fails(labels, out, *named)
    assert f'a.png: a: {images} holds no image' in line
    assert call(tool, 'coco', labels, images, *named) == 1
    assert 'is the folder of the images' in error(capsys.readouterr())
    assert call(tool, 'coco', labels, labels, *named) == 1
    assert 'is there already' in error(capsys.readouterr())
    assert call(tool, 'yolo', labels, out, *named) == 2


ITEM = dict(
    image_id='a',
    category_id=0,
    score=0.5,
    segmentation=encode_mask(np.ones(SIZE, bool)),
)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'is no JSON'),
        ('{}', 'is no list of results'),
        ([7], "result 0 has no 'image_id'"),
        ([dict(ITEM, image_id=1)], 'result 0 has the image_id 1'),
        ([ITEM, dict(ITEM, category_id='a')], "1 has the category_id 'a'"),
        ([dict(ITEM, category_id=-1)], 'result 0: -1 is no index'),
        ([dict(ITEM, score='high')], "result 0: 'high' is no score"),
        ([dict(ITEM, segmentation={})], 'result 0: a segmentation must'),
        ([dict(ITEM, image_id='../a')], r'../a: IMAGES holds no image'),
        (
            [ITEM, dict(ITEM, segmentation=encode_mask(np.ones((2, 3))))],
            'result 1: is 3 x 2 pixels',
        ),
    ],
)
def test_bad_instances(tool, images, out, capsys, content, message):
    path = out.parent / 'instances.json'
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text)
    args = ['--images', images, '--classes', 'cat,dog']
    line = fails(tool, capsys, 'coco', path, out, *args)
    assert line.startswith(f'error: {path}: ')
    assert message.replace('IMAGES', str(images)) in line


SEGMENT = dict(label=0, segmentation=ITEM['segmentation'])
GOOD = dict(
    img_path='a.png',
    height=30,
    width=20,
    classes=['cat'],
    segments=[SEGMENT],
)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], 'is no prediction of WSLInferencer'),
        (dict(GOOD, height='x'), 'height is no number of pixels'),
        (dict(GOOD, segments={}), 'segments is no list'),
        (dict(GOOD, segments=[7]), '7 is no segment'),
        (dict(GOOD, segments=[dict(SEGMENT, label=0.5)]), '0.5 is no index'),
        (dict(GOOD, scores=['a']), "'a' is no score"),
        (dict(GOOD, classes=[0]), 'classes are no names'),
        (dict(GOOD, width=21), 'class 0: mask is 20 x 30 pixels'),
    ],
)
def test_bad_predictions(tool, out, capsys, content, message):
    path = out.parent / 'json/a.json'
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    line = fails(tool, capsys, 'coco', path.parent, out)
    assert line.startswith(f'error: {path}: ')
    assert message in line
    path.write_text(json.dumps(GOOD))
    assert call(tool, 'coco', path.parent, out) == 0
    ((name, mask, _),) = read_coco(out)['a.png']
    assert name == 'cat'
    assert overlap(mask, np.ones(SIZE, bool)) == 1
