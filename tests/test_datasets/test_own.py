"""Own data is found in every layout, with the same labels."""

import json
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest

from mmwsl.datasets import OwnDataset

# Objects of each image; 'c' shows nothing.
OBJECTS = {
    'a': ['pear', 'pear', 'apple'],
    'b': ['apple'],
    'c': [],
    'd': ['pear'],
    'e': ['apple', 'apple', 'apple'],
}
CLASSES = ('apple', 'pear')
BOX = '<xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>25</ymax>'


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((32, 40, 3), np.uint8))


def write_xml(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = ''.join(
        f'<object><name>{name}</name><bndbox>{BOX}</bndbox></object>'
        for name in names
    )
    path.write_text(f'<annotation>{objects}</annotation>')


def xml_beside(root):
    for name, objects in OBJECTS.items():
        write_image(root / f'pictures/{name}.png')
        write_xml(root / f'pictures/{name}.xml', objects)
    return 'pictures/'


def xml_in_voc_layout(root):
    for name, objects in OBJECTS.items():
        write_image(root / f'JPEGImages/{name}.jpg')
        write_xml(root / f'Annotations/{name}.xml', objects)
    return 'JPEGImages/'


def coco(root):
    objects = [(i, x) for i, xs in enumerate(OBJECTS.values()) for x in xs]
    content = dict(
        images=[
            dict(id=i, file_name=f'{name}.jpg')
            for i, name in enumerate(OBJECTS)
        ],
        annotations=[
            dict(id=number, image_id=i, category_id=x, bbox=[1, 2, 8, 9])
            for number, (i, x) in enumerate(objects)
        ],
        categories=[dict(id=x, name=x) for x in CLASSES],
    )
    for name in OBJECTS:
        write_image(root / f'images/{name}.jpg')
    (root / 'annotations').mkdir()
    (root / 'annotations/labels.json').write_text(json.dumps(content))
    (root / 'other.json').write_text('{"settings": 1}')
    return 'images/'


def table_of_counts(root):
    rows = [','.join(['path', *CLASSES])]
    for name, objects in OBJECTS.items():
        write_image(root / f'photos/{name}.jpg')
        counts = [str(objects.count(label)) for label in CLASSES]
        rows.append(','.join([f'{name}.jpg', *counts]))
    (root / 'counts.csv').write_text('\n'.join(rows))
    return 'photos/'


COUNTED = (xml_beside, xml_in_voc_layout, coco, table_of_counts)


@pytest.mark.parametrize('write', COUNTED)
def test_layouts_with_counts(tmp_path, write):
    folder = write(tmp_path)
    dataset = OwnDataset(data_root=str(tmp_path), split='all')
    infos = {
        info['img_id']: info for info in map(dataset.get_data_info, range(5))
    }
    assert dataset.classes == CLASSES
    assert dataset.counted
    assert set(infos) == {f'{folder}{name}' for name in OBJECTS}
    for name, objects in OBJECTS.items():
        counts = [objects.count(label) for label in CLASSES]
        assert infos[f'{folder}{name}']['gt_count'].tolist() == counts
    found = dataset.summary()
    assert found['max_counts'] == dict(apple=3, pear=2)
    assert found['images'] == dict(apple=3, pear=2)
    assert (found['max_count'], found['labels']) == (3, 'counts')
    assert found['train'] + found['val'] == 5
    assert not dataset.unlabelled


def test_xml_has_no_masks(tmp_path):
    xml_beside(tmp_path)
    steps = [dict(type='LoadWSLImage'), dict(type='LoadEvalAnnotations')]
    data = OwnDataset(data_root=str(tmp_path), test_mode=True, pipeline=steps)
    with pytest.raises(ValueError, match='the dataset has no seg_map'):
        data[0]


def test_boxes_stay_out_of_training(tmp_path):
    xml_beside(tmp_path)
    train = OwnDataset(data_root=str(tmp_path), split='all')
    test = OwnDataset(data_root=str(tmp_path), split='all', test_mode=True)
    assert all('eval_ann' not in train.get_data_info(i) for i in range(5))
    boxes = test.get_data_info(0)['eval_ann']['boxes']
    assert np.array(boxes).shape == (3, 4)


def folders(root, names=('train', 'val')):
    for part in names:
        for label in CLASSES:
            for number in range(3):
                write_image(root / part / label / f'{number}.jpg')


def test_folders_of_parts(tmp_path):
    folders(tmp_path)
    write_image(tmp_path / 'unlabelled/x.jpg')
    for split in ('train', 'val'):
        dataset = OwnDataset(data_root=str(tmp_path), split=split)
        assert len(dataset) == 6
        assert dataset.classes == CLASSES
        assert not dataset.counted
        ids = [dataset.get_data_info(i)['img_id'] for i in range(6)]
        assert all(name.startswith(f'{split}/') for name in ids)
        assert [p.rpartition('/')[2] for p in dataset.unlabelled] == ['x.jpg']


def test_folders_are_divided(tmp_path):
    """Every fifth image of each class, the same ones every time."""
    for label, number in (('apple', 20), ('pear', 10)):
        for i in range(number):
            write_image(tmp_path / label / f'{i}.jpg')
    write_image(tmp_path / 'unlabeled/x.jpg')
    parts = {}
    for split in ('train', 'val', 'all'):
        dataset = OwnDataset(data_root=str(tmp_path), split=split)
        parts[split] = [
            dataset.get_data_info(i)['img_id'] for i in range(len(dataset))
        ]
        assert dataset.classes == CLASSES
    again = OwnDataset(data_root=str(tmp_path), split='val')
    ids = [again.get_data_info(i)['img_id'] for i in range(len(again))]
    assert ids == parts['val']
    shown = Counter(name.split('/')[0] for name in parts['val'])
    assert shown == {'apple': 4, 'pear': 2}
    assert not set(parts['train']) & set(parts['val'])
    assert sorted(parts['all']) == sorted(parts['train'] + parts['val'])
    half = OwnDataset(data_root=str(tmp_path), split='val', val_share=0.5)
    assert len(half) == 15


@pytest.mark.parametrize('number', [2, 3])
def test_few_images_are_divided_too(tmp_path, number):
    for i in range(number):
        write_image(tmp_path / 'apple' / f'{i}.jpg')
    sizes = [
        len(OwnDataset(data_root=str(tmp_path), split=split))
        for split in ('train', 'val')
    ]
    assert sizes == [number - 1, 1]


def test_lists_of_voc(tmp_path):
    xml_in_voc_layout(tmp_path)
    lists = tmp_path / 'ImageSets/Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a\nb\n')
    (lists / 'val.txt').write_text('d\n')
    write_image(tmp_path / 'JPEGImages/z.jpg')
    for name in 'ace':
        write_image(tmp_path / f'SegmentationClass/{name}.png')
    # Another image without labels, by chance of the same name.
    write_image(tmp_path / 'unlabelled/a.jpg')
    assert len(OwnDataset(data_root=str(tmp_path))) == 2
    val = OwnDataset(data_root=str(tmp_path), split='val')
    assert val.get_data_info(0)['img_id'] == 'JPEGImages/d'
    # Listed nowhere, and without annotation.
    names = [path.rpartition('/')[2] for path in val.unlabelled]
    assert names == ['c.jpg', 'e.jpg', 'z.jpg', 'a.jpg']


def test_files_of_parts(tmp_path):
    table_of_counts(tmp_path)
    rows = (tmp_path / 'counts.csv').read_text().splitlines()
    (tmp_path / 'counts.csv').unlink()
    (tmp_path / 'my_train.csv').write_text('\n'.join(rows[:4]))
    (tmp_path / 'my_val.csv').write_text('\n'.join(rows[:1] + rows[4:]))
    assert len(OwnDataset(data_root=str(tmp_path))) == 3
    assert len(OwnDataset(data_root=str(tmp_path), split='val')) == 2


def test_entries_of_segmentors(tmp_path):
    xml_beside(tmp_path)
    dataset = OwnDataset(
        data_root=str(tmp_path), split='all', label_maps='maps'
    )
    info = dataset.get_data_info(0)
    assert dataset.metainfo['classes'] == ['background', 'apple', 'pear']
    assert len(dataset.metainfo['palette']) == 3
    assert info['seg_map_path'] == 'maps/pictures/a.png'
    assert info['seg_fields'] == []
    assert dataset.data_prefix['seg_map_path'] == 'maps'


def test_unseen_images(tmp_path):
    """Those of validation, and without labels those that have none."""
    folders(tmp_path)
    write_image(tmp_path / 'unlabelled/x.jpg')
    dataset = OwnDataset(
        data_root=str(tmp_path), split='unseen', segmentor=True
    )
    infos = [dataset.get_data_info(index) for index in range(7)]
    assert [info['split'] for info in infos] == ['val'] * 6 + ['unlabelled']
    assert infos[-1]['img_id'] == 'unlabelled/x'
    assert infos[-1]['gt_label'].tolist() == []
    assert infos[-1]['seg_fields'] == []


@pytest.mark.parametrize('segmentor', [False, True])
def test_own_colours(tmp_path, segmentor):
    xml_beside(tmp_path)
    colors = [[1, 2, 3], [4, 5, 6]]
    options = dict(
        data_root=str(tmp_path), segmentor=segmentor, lazy_init=True
    )
    dataset = OwnDataset(metainfo=dict(palette=colors), **options)
    dataset.full_init()
    background = [(0, 0, 0)] * segmentor
    assert dataset.metainfo['palette'] == [*background, *colors]
    for wrong in (colors[:1], [[1, 2], [3, 4]], [[1, 2, 256], [4, 5, 6]]):
        dataset = OwnDataset(metainfo=dict(palette=wrong), **options)
        with pytest.raises(ValueError, match='palette must be one'):
            dataset.full_init()


def test_labels_are_chosen_by_name(tmp_path):
    coco(tmp_path)
    write_xml(tmp_path / 'images/a.xml', ['plum'])
    with pytest.raises(ValueError, match=r'labels\.json.*a\.xml.*labels='):
        OwnDataset(data_root=str(tmp_path)).full_init()
    dataset = OwnDataset(
        data_root=str(tmp_path), labels='annotations', split='all'
    )
    assert len(dataset) == 5


@pytest.mark.parametrize(
    ('write', 'kind', 'named'),
    [
        (lambda root: None, ValueError, 'holds no labels'),
        (shutil.rmtree, FileNotFoundError, 'does not exist'),
        (
            lambda root: [
                (root / f'{name}.csv').write_text('a.jpg,cat') for name in 'xy'
            ],
            ValueError,
            r'x\.csv, y\.csv',
        ),
        (
            lambda root: [
                write_image(root / 'a.jpg'),
                write_xml(root / 'a.xml', []),
            ],
            ValueError,
            'data: XMLDataset: .*classes are empty',
        ),
        (
            lambda root: [
                write_image(root / 'a.jpg'),
                (root / 'a.csv').write_text(',path\n0,a.jpg'),
            ],
            ValueError,
            'a.csv: line 1: no path .*columns=NAME,NAME',
        ),
        (
            lambda root: [
                write_image(root / 'cat/a.png'),
                (root / 'cat/a.png').rename(root / 'cat/b\udce9.png'),
            ],
            ValueError,
            r"cat/b\\udce9.png' is no UTF-8",
        ),
        (
            lambda root: write_xml(root / 'a.xml', ['cat']),
            FileNotFoundError,
            r'a\.xml',
        ),
    ],
)
def test_errors(tmp_path, write, kind, named):
    root = tmp_path / 'data'
    root.mkdir()
    write(root)
    with pytest.raises(kind, match=named):
        OwnDataset(data_root=str(root)).full_init()


def test_wrong_settings(tmp_path):
    for wrong in (dict(split='trainval'), dict(val_share=1.0)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OwnDataset(data_root=str(tmp_path), **wrong)
    with pytest.raises(FileNotFoundError, match='no_such'):
        OwnDataset(data_root=str(tmp_path), labels='no_such').full_init()


@pytest.mark.parametrize(
    ('name', 'classes', 'sizes'),
    [
        ('fruit300', ('apple', 'banana', 'orange'), (192, 48)),
        ('bccd', ('Platelets', 'RBC', 'WBC'), None),
    ],
)
def test_real_data(shared_dir, name, classes, sizes):
    root = str(shared_dir / 'data' / name)
    parts = {
        split: OwnDataset(data_root=root, split=split, test_mode=True)
        for split in ('train', 'val')
    }
    for dataset in parts.values():
        assert dataset.classes == classes
        assert dataset.counted
    found = tuple(map(len, parts.values()))
    assert sum(found) == (240 if sizes else 292)
    assert sizes is None or found == sizes


def test_a_table_with_other_headers(tmp_path):
    for name in ('a', 'b'):
        write_image(tmp_path / 'photos' / f'{name} 1.jpg')
    (tmp_path / 'tags.csv').write_text(
        'id;tag;file;n\n7;red fruit;a 1.jpg;2\n8;pear;b 1.jpg;1\n'
    )
    columns = dict(path='file', label='tag', count='n')
    for more in ({}, dict(delimiter=';')):
        data = OwnDataset(
            data_root=str(tmp_path), split='all', columns=columns, **more
        )
        assert data.summary()['images'] == {'pear': 1, 'red fruit': 1}
        found = [data.get_data_info(i)['gt_count'].tolist() for i in (0, 1)]
        assert sorted(found) == [[0, 2], [1, 0]]


def test_a_header_by_option(tmp_path):
    """As a command line says it: PATH,LABEL,COUNT, or PATH of a table."""
    for name in 'ab':
        write_image(tmp_path / f'{name}.jpg')
    (tmp_path / 'tags.csv').write_text(
        'file,red fruit,pear\na.jpg,0,1\nb.jpg,1,0\n'
    )
    data = OwnDataset(data_root=str(tmp_path), split='all', columns='file')
    assert data.summary()['images'] == {'pear': 1, 'red fruit': 1}
    (tmp_path / 'tags.csv').write_text(
        'n,image,tag\n2.0,a.jpg,pear\n1,b.jpg,pear\n'
    )
    data = OwnDataset(
        data_root=str(tmp_path), split='all', columns='image, tag, n'
    )
    assert data.summary()['max_counts'] == {'pear': 2}


def test_a_class_may_be_called_train(tmp_path):
    for label in ('train', 'car'):
        for number in range(3):
            write_image(tmp_path / label / f'{number}.jpg')
    (tmp_path / 'train/.ipynb_checkpoints').mkdir()
    data = OwnDataset(data_root=str(tmp_path), split='all')
    assert data.summary()['images'] == dict(car=3, train=3)
    # Its images may lie deeper, or it may hold the classes.
    write_image(tmp_path / 'train/fast/1.jpg')
    with pytest.raises(ValueError, match='train may be a class beside car'):
        OwnDataset(data_root=str(tmp_path)).full_init()
    data = OwnDataset(data_root=str(tmp_path), split='all', labels='train')
    assert data.summary()['images'] == dict(fast=1)


def test_background_is_no_class(tmp_path):
    for label in ('apple', 'background'):
        write_image(tmp_path / label / '1.jpg')
    with pytest.raises(ValueError, match='called background.*without a lab'):
        OwnDataset(data_root=str(tmp_path)).full_init()


@pytest.mark.parametrize(
    'files',
    [
        ['images/train/a.jpg', 'labels/train/a.txt', 'data.yaml'],
        ['train/images/a.jpg', 'train/labels/a.txt', 'valid/images/b.jpg'],
        ['JPEGImages/a.jpg', 'SegmentationClass/a.png'],
        ['images/a.jpg'],
    ],
)
def test_folders_of_other_layouts_are_no_classes(files, tmp_path):
    for name in files:
        path = tmp_path / name
        if path.suffix in ('.jpg', '.png'):
            write_image(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('0 0.5 0.5 0.2 0.2')
    with pytest.raises(ValueError, match='hardly a class; export .*YOLO'):
        OwnDataset(data_root=str(tmp_path)).full_init()
    if len(files) == 1:
        data = OwnDataset(data_root=str(tmp_path), labels='folders')
        assert tuple(data.classes) == ('images',)


def test_folders_go_before_files_by_name(tmp_path):
    folders(tmp_path, ['.'])
    (tmp_path / 'notes.csv').write_text('who,when\nme,now\n')
    data = OwnDataset(data_root=str(tmp_path), split='all', labels='folders')
    assert data.summary()['images'] == dict(apple=3, pear=3)


@pytest.mark.parametrize('classes', [None, ['pear', 'apple']])
@pytest.mark.parametrize('name', ['Unlabelled', 'unlabeled'])
def test_images_without_labels_are_no_class(tmp_path, classes, name):
    folders(tmp_path, ['.'])
    write_image(tmp_path / name / 'x.jpg')
    data = OwnDataset(
        data_root=str(tmp_path),
        split='all',
        metainfo=dict(classes=classes) if classes else None,
    )
    assert data.summary()['unlabelled'] == 1
    assert list(data.classes) == (classes or ['apple', 'pear'])
    assert len(data) == 6


@pytest.mark.parametrize('kind', ['xml', 'csv', 'folders'])
def test_a_test_part_is_left_alone(tmp_path, kind):
    for part in ('train', 'test'):
        for number in range(4):
            folder = tmp_path / part / ('cat' * (kind == 'folders'))
            write_image(folder / f'{number}.jpg')
            if kind == 'xml':
                write_xml(folder / f'{number}.xml', ['cat'])
        if kind == 'csv':
            lines = [f'{part}/{number}.jpg,cat\n' for number in range(4)]
            (tmp_path / f'{part}.csv').write_text(''.join(lines))
    if kind == 'xml':
        for path in (tmp_path / 'test').iterdir():
            path.rename(path.with_name(f'other{path.name}'))
    for split, number in (('train', 3), ('val', 1), ('unseen', 1)):
        data = OwnDataset(data_root=str(tmp_path), split=split)
        assert len(data) == number


def test_parts_of_coco_with_other_classes(tmp_path):
    coco(tmp_path)
    path = tmp_path / 'annotations/labels.json'
    content = json.loads(path.read_text())
    path.rename(tmp_path / 'annotations/train.json')
    content['categories'].pop(0)
    content['annotations'] = [
        x for x in content['annotations'] if x['category_id'] == 'pear'
    ]
    (tmp_path / 'annotations/val.json').write_text(json.dumps(content))
    data = OwnDataset(data_root=str(tmp_path), split='val')
    assert data.classes == CLASSES
    assert data.get_data_info(0)['gt_count'].tolist() == [0, 2]
    # Named by hand, a class must be there.
    with pytest.raises(ValueError, match='plum'):
        OwnDataset(
            data_root=str(tmp_path), metainfo=dict(classes=['pear', 'plum'])
        )
