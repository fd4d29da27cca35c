"""Exports, read back as the tools that they are for would."""

import csv

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from export_readers import (
    decode_brush,
    fill,
    overlap,
    read_coco,
    read_label_studio,
    read_voc,
    read_yolo,
)
from mmwsl.evaluation.export_formats import FORMATS
from mmwsl.evaluation.exporting import (
    LabelExport,
    as_dict,
    describe_label_map,
    find_objects,
    label_exports,
)
from mmwsl.structures import WSLDataSample
from mmwsl.utils.masks import encode_mask

# With all that lists, XML and YAML could trip over.
CLASSES = ['ant, red', 'Bär "<&>\'', 'no: - # 1']
SIZE = (40, 60)


def label_map():
    """A disc with a hole, two parts of a class, one a pixel, and ignored."""
    plane = np.zeros(SIZE, np.uint8)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(rows - 18, columns - 20)
    plane[(distance < 15) & (distance > 6)] = 3
    plane[2:20, 45:60] = 1
    plane[39, 59] = 1
    plane[30:34, 50:55] = 255
    return plane


def parts():
    """Class and mask of each object of the label map."""
    plane = label_map()
    block, pixel = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    block[2:20, 45:60] = True
    pixel[39, 59] = True
    return [(0, block), (0, pixel), (2, plane == 3)]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'my images'
    (folder / 'sub').mkdir(parents=True)
    for name in ('a b.png', 'sub/ü.jpg'):
        Image.new('RGB', SIZE[::-1]).save(folder / name)
    return folder


def contents(images):
    about = dict(height=SIZE[0], width=SIZE[1])
    return {
        'a b': dict(
            describe_label_map(label_map(), CLASSES),
            img_path=str(images / 'a b.png'),
            scores=[0.75, 0.0, 0.5],
            **about,
        ),
        'sub/ü': dict(
            segments=[], img_path=str(images / 'sub/ü.jpg'), **about
        ),
    }


@pytest.fixture
def export(images, tmp_path):
    """Export the images and return the folder."""

    def run(kind, classes=CLASSES, **options):
        entries = contents(images).items()
        options.update(classes=classes, image_dir=images, min_area=1)
        labels = write(kind, tmp_path / 'out', entries, **options)
        assert (labels.images, labels.objects) == (2, 3)
        return tmp_path / 'out'

    return run


def write(kind, out, entries, classes=(), **options):
    """Export images, pairs of id and content."""
    with LabelExport(kind, out, classes, **options) as export:
        for name, content in entries:
            export.add(name, content)
    return export


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_coco(export):
    found = read_coco(export('coco'))
    assert list(found) == ['a b.png', 'sub/ü.jpg']
    assert found['sub/ü.jpg'] == []
    for (name, mask, item), (label, true) in zip(found['a b.png'], parts()):
        assert name == CLASSES[label]
        np.testing.assert_array_equal(mask, true)
        x1, y1, x2, y2 = box_of(true)
        assert item['bbox'] == [x1, y1, x2 - x1, y2 - y1]
        assert item['area'] == true.sum()
        assert item['score'] == [0.75, 0.0, 0.5][label]


@pytest.mark.parametrize(('tolerance', 'least'), [(0, 1), (0.75, 0.95)])
def test_coco_polygons(export, tolerance, least):
    found = read_coco(export('coco-polygon', tolerance=tolerance))
    assert found['sub/ü.jpg'] == []
    for (name, mask, _), (label, true) in zip(found['a b.png'], parts()):
        assert name == CLASSES[label]
        assert overlap(mask, true) >= least


def test_yolo_detect(export):
    out = export('yolo-detect')
    found = read_yolo(out)
    assert found.keys() == {'a b.png', 'sub/ü.jpg'}
    assert found['sub/ü.jpg'] == []
    assert len(found['a b.png']) == 3
    for (name, values), (label, true) in zip(found['a b.png'], parts()):
        assert name == CLASSES[label]
        middle, size = values * [SIZE[1], SIZE[0]]
        box = [*(middle - size / 2), *(middle + size / 2)]
        np.testing.assert_allclose(box, box_of(true), atol=1e-3)
    # The images can be opened where the tool looks for them.
    for path in ('a b.png', 'sub/ü.jpg'):
        with Image.open(out / 'images/train' / path) as picture:
            assert picture.size == SIZE[::-1]


def test_yolo_segment(export):
    found = read_yolo(export('yolo-segment'))
    assert found['sub/ü.jpg'] == []
    assert len(found['a b.png']) == 3
    for (name, values), (label, true) in zip(found['a b.png'], parts()):
        assert name == CLASSES[label]
        mask = fill(values * [SIZE[1], SIZE[0]], SIZE)
        assert overlap(mask, true) > 0.95


def test_yolo_looks_for_the_last_folder_of_images(tmp_path):
    path = tmp_path / 'data/images/a.png'
    path.parent.mkdir(parents=True)
    Image.new('RGB', SIZE[::-1]).save(path)
    content = dict(segments=[], img_path=str(path), height=40, width=60)
    write('yolo-detect', tmp_path / 'out', [('images/a', content)], ['a'])
    assert read_yolo(tmp_path / 'out') == {'images_/a.png': []}


def test_voc(export):
    out = export('voc', palette=[(1, 2, 3), (4, 5, 6)])
    found = read_voc(out)
    assert list(found) == ['a b.png', 'sub/ü.jpg']
    objects, plane, palette = found['a b.png']
    np.testing.assert_array_equal(plane, label_map())
    for (name, box), (label, true) in zip(objects, parts()):
        assert name == CLASSES[label]
        x1, y1, x2, y2 = box_of(true)
        assert box == [x1 + 1, y1 + 1, x2, y2]
    # Own colours, and then those that VOC has for these indices.
    shown = palette[[0, 1, 2, 3, 255]].tolist()
    own = [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert shown == [*own, [128, 128, 0], [224, 224, 192]]
    assert found['sub/ü.jpg'][0] == []
    assert not found['sub/ü.jpg'][1].any()
    assert (out / 'JPEGImages/sub/ü.jpg').is_file()
    lines = (out / 'labelmap.txt').read_text('utf-8').splitlines()
    assert lines[1:3] == ['background:0,0,0::', 'ant, red:1,2,3::']


def test_label_studio(export):
    found = read_label_studio(export('label-studio', model_version='v1'))
    url = '/data/local-files/?d=my images/'
    assert list(found) == [f'{url}a b.png', f'{url}sub/ü.jpg']
    shapes = found[f'{url}sub/ü.jpg']
    assert shapes == dict(rectangle=[], polygon=[], brush=[])
    shapes = found[f'{url}a b.png']
    scale = np.array([SIZE[1], SIZE[0]]) / 100
    for kind, regions in shapes.items():
        assert len(regions) == 3
        for (name, region), (label, true) in zip(regions, parts()):
            assert name == CLASSES[label]
            assert region['score'] == [0.75, 0.0, 0.5][label]
            size = region['original_height'], region['original_width']
            assert size == SIZE
            value = region['value']
            if kind == 'brush':
                mask = decode_brush(value['rle'], SIZE)
                np.testing.assert_array_equal(mask, true)
            elif kind == 'polygon':
                mask = fill(np.array(value['points']) * scale, SIZE)
                assert overlap(mask, true) > 0.95
            else:
                start = np.array([value['x'], value['y']])
                length = [value['width'], value['height']]
                box = [*(start * scale), *((start + length) * scale)]
                np.testing.assert_allclose(box, box_of(true), atol=1e-3)


def test_label_studio_finds_images_by_a_prefix(export):
    out = export('label-studio', image_url='https://x.org/')
    assert 'https://x.org/a b.png' in read_label_studio(out)


def test_counts(export):
    with open(export('counts') / 'counts.csv', encoding='utf-8') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['image', *CLASSES]
    assert rows[1:] == [['a b.png', '2', '0', '1'], ['sub/ü.jpg', *'000']]


def test_predicted_counts_go_first(tmp_path):
    content = dict(counts=[1.0, 2.5], height=1, width=1)
    export = write('counts', tmp_path / 'out', [('x', content)], ['a', 'b'])
    assert '1 images, 4 objects' in export.summary()
    text = (tmp_path / 'out/counts.csv').read_text()
    assert text == 'image,a,b\nx.png,1,2.5\n'


@pytest.mark.parametrize('kind', FORMATS)
def test_masks_touch_and_have_no_score(kind, tmp_path):
    """A segmentor's, of classes without names, in a single row."""
    plane = np.array([[0, 1, 2, 2, 0, 1]], np.uint8)
    content = dict(describe_label_map(plane, ()), height=1, width=6)
    export = write(kind, tmp_path / 'out', [('x', content)])
    assert export.objects == 3
    assert export.classes == ['class 0', 'class 1']
    assert f'{kind}, 1 images, 3 objects' in export.summary()


def test_small_objects_are_left_out(images):
    content = contents(images)['a b']
    assert len(find_objects(content, 'a', 1)) == 3
    assert len(find_objects(content, 'a', 2)) == 2
    # A share of the 2400 pixels; by default 0.0005, which are 1.2.
    assert len(find_objects(content, 'a', 1 / 2400)) == 3
    assert len(find_objects(content, 'a')) == 2


def test_instances_go_before_parts(tmp_path):
    first, second = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    first[:4, :4] = first[10:14, 10:14] = True
    second[2:6, 2:6] = True
    instances = [
        dict(label=0, score=0.25, segmentation=encode_mask(first)),
        dict(label=1, score=0.5, segmentation=encode_mask(second)),
        dict(label=1, score=0.5, segmentation=encode_mask(~(first | True))),
    ]
    content = dict(instances=instances, height=SIZE[0], width=SIZE[1])
    for kind in ('coco', 'voc', 'yolo-segment'):
        export = write(kind, tmp_path / kind, [('x', content)], ['a', 'b'])
        # An empty one is none.
        assert export.objects == 2
    (items,) = read_coco(tmp_path / 'coco').values()
    np.testing.assert_array_equal(items[0][1], first)
    np.testing.assert_array_equal(items[1][1], second)
    assert [item['score'] for _, _, item in items] == [0.25, 0.5]
    # The better one lies on top.
    ((_, plane, _),) = read_voc(tmp_path / 'voc').values()
    np.testing.assert_array_equal(plane, np.where(second, 2, first))
    # Both parts of an object are in one line.
    lines = (tmp_path / 'yolo-segment/labels/train/x.txt').read_text()
    values = np.array(lines.split('\n')[0].split()[1:], float)
    mask = fill(values.reshape(-1, 2) * [SIZE[1], SIZE[0]], SIZE)
    assert overlap(mask, first) == 1


def test_sample_and_its_fields_give_the_same():
    sample = WSLDataSample(metainfo=dict(img_id='x', ori_shape=SIZE))
    plane = torch.from_numpy(label_map().astype(np.int64))
    sample.pred_sem_seg = PixelData(data=plane[None])
    masks = torch.zeros(2, *SIZE, dtype=torch.bool)
    masks[0, 3:7, 5:9] = True
    sample.pred_instances = InstanceData(
        masks=masks, labels=torch.tensor([1, 2]), scores=torch.rand(2)
    )
    content = as_dict(sample, CLASSES)
    assert content == as_dict(sample.to_dict(), CLASSES)
    assert [x['bbox'] for x in content['instances']] == [
        [5, 3, 9, 7],
        [0, 0, 0, 0],
    ]
    assert [x['area'] for x in content['segments']] == [
        (label_map() == 1).sum(),
        (label_map() == 3).sum(),
    ]
    assert 'ignored' in content
    assert 'scores' not in content


def broken(images):
    content = contents(images)['a b']
    content['segments'][0]['segmentation'] = dict(size=[1, 1], counts='1')
    return content


@pytest.mark.parametrize('kind', FORMATS)
def test_appears_whole_or_not_at_all(kind, images, tmp_path):
    entries = [*contents(images).items(), ('c', broken(images))]
    with pytest.raises(ValueError, match=r'a b\.png: mask is 1 x 1'):
        write(kind, tmp_path / 'new/out', entries, CLASSES)
    assert list((tmp_path / 'new').iterdir()) == []


def test_refused_folders(images, tmp_path):
    with pytest.raises(ValueError, match='is the folder of the images'):
        LabelExport('coco', images, image_dir=images)
    with pytest.raises(ValueError, match='is there already'):
        LabelExport('coco', images)
    with pytest.raises(ValueError, match='is there already'):
        LabelExport('coco', images / 'a b.png')
    with pytest.raises(ValueError, match='is named twice'):
        label_exports(dict(coco=tmp_path / 'x', voc=tmp_path / 'x'))
    with pytest.raises(ValueError, match='is named twice'):
        label_exports([('voc', tmp_path / 'x'), ('voc', tmp_path / 'x')])


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / 'out').mkdir()
    # Left by a killed process.
    (tmp_path / '.out.tmp/labels').mkdir(parents=True)
    write('coco', tmp_path / 'out', [], ['a'])
    assert [x.name for x in tmp_path.iterdir()] == ['out']
    assert read_coco(tmp_path / 'out') == {}


def test_bad_input(images, tmp_path):
    with pytest.raises(ValueError, match='yolo: is no format .* voc'):
        LabelExport('yolo', tmp_path / 'out')
    with pytest.raises(ValueError, match="two classes have the name 'a'"):
        LabelExport('coco', tmp_path / 'out', ['a', 'b', 'a'])
    entry = ('a b', contents(images)['a b'])
    with pytest.raises(ValueError, match="same image id as .*, 'a b'"):
        write('coco', tmp_path / 'out', [entry, entry], CLASSES)
    entry = ('../a', dict(entry[1], img_path=''))
    with pytest.raises(ValueError, match='no name of a file'):
        write('voc', tmp_path / 'out', [entry], CLASSES)
    entry = ('a', dict(entry[1], img_path=str(tmp_path / 'none.jpg')))
    with pytest.raises(FileNotFoundError, match=r'none\.jpg: image does not'):
        write('voc', tmp_path / 'out', [entry], CLASSES)
    assert not (tmp_path / 'out').exists()


def test_label_maps_hold_so_many_classes(tmp_path):
    mask = np.ones((2, 2), bool)
    item = dict(label=254, score=1.0, segmentation=encode_mask(mask))
    content = dict(instances=[item], height=2, width=2)
    with pytest.raises(ValueError, match='254 classes at most'):
        write('voc', tmp_path / 'out', [('a', content)])


def test_the_255th_class_is_not_what_is_ignored():
    label_map = np.array([[0, 255, 300]], np.int64)
    many = describe_label_map(label_map, [str(i) for i in range(300)])
    assert [x['label'] for x in many['segments']] == [254, 299]
    assert 'ignored' not in many
    few = describe_label_map(label_map[:, :2], ['a'])
    assert few['segments'] == []
    assert 'ignored' in few
