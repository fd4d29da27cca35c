import numpy as np
import pytest

from mmwsl.datasets import COCOImageLevelDataset

BICYCLE, DOG = 0, 1


BOXES = [
    dict(type='LoadWSLImage'),
    dict(type='LoadEvalAnnotations', with_seg_map=False, with_instances=True),
]
MASKS = [
    dict(type='LoadWSLImage'),
    dict(type='LoadEvalAnnotations', with_masks=True),
]


def read(coco, **kwargs):
    return COCOImageLevelDataset(**coco.write(), **kwargs)


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


def test_known_answer(coco):
    data = read(coco)
    assert data.classes == ('bicycle', 'dog')
    first, second, third = infos(data)
    assert [i['img_id'] for i in (first, second, third)] == [
        'x/1',
        'x/2',
        'x/3',
    ]
    assert first['gt_label'].tolist() == [DOG]
    assert first['gt_count'].tolist() == [0, 2]
    # The crowd of bicycles gives a label, but no number.
    assert second['gt_label'].tolist() == [BICYCLE, DOG]
    assert second['gt_label_difficult'].tolist() == [BICYCLE]
    assert second['gt_count'].tolist() == [0, 1]
    assert third['gt_label'].tolist() == []
    assert 'eval_ann' not in first


def test_crowd_options(coco):
    data = read(coco, crowd_label=False, crowd_count=True)
    second = data.get_data_info(1)
    assert second['gt_label'].tolist() == [DOG]
    assert second['gt_label_difficult'].tolist() == [BICYCLE]
    assert second['gt_count'].tolist() == [1, 1]


def test_ground_truth_in_test_mode(coco):
    data = read(coco, test_mode=True, pipeline=MASKS)
    truth = data[0]['eval_gt']
    instances = truth['gt_instances']
    assert instances['bboxes'].tolist() == [[2, 3, 6, 8], [0, 0, 2, 2]]
    assert instances['masks'].sum(axis=(1, 2)).tolist() == [20, 4]
    expected = np.zeros((12, 16), dtype=np.int64)
    expected[3:8, 2:6] = expected[:2, :2] = DOG + 1
    assert np.array_equal(truth['gt_sem_seg'], expected)
    truth = data[1]['eval_gt']
    assert truth['gt_instances']['difficult'].tolist() == [True, False]
    # The crowd is the first column, the dog the right half.
    assert (truth['gt_sem_seg'][:, 0] == BICYCLE + 1).all()
    assert (truth['gt_sem_seg'][:, 1:8] == 0).all()
    assert (truth['gt_sem_seg'][:, 8:] == DOG + 1).all()
    assert data[2]['eval_gt']['gt_instances']['masks'].shape == (0, 12, 16)
    assert not data[2]['eval_gt']['gt_sem_seg'].any()


def test_own_classes(coco):
    dogs = dict(classes=['dog'])
    data = read(coco, metainfo=dogs)
    assert [i['gt_label'].tolist() for i in infos(data)] == [[0], [0], []]
    with pytest.raises(ValueError, match=r"ann.json: class 'bicycle'"):
        read(coco, metainfo=dogs, unknown_class='error')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('x/none.jpg', 'names the image .*x/none.jpg'),
        ('/x/2.jpg', 'no name'),
        ('../im/x/2.jpg', 'no name'),
        ('x/../../x/2.jpg', 'no name'),
        ('', 'no name'),
    ],
)
def test_images_that_are_missing_or_elsewhere(coco, name, message):
    coco.content['images'][1]['file_name'] = name
    with pytest.raises(
        (FileNotFoundError, ValueError), match=f'ann.json: image 3.* {message}'
    ):
        read(coco)
    data = read(coco, collect_problems=True)
    assert len(data) == 2
    assert 'image 3' in ': '.join(data.problems[0])


@pytest.mark.parametrize('name', ['x/2.JPG', 'x/2', 'x/2.png'])
def test_suffixes_are_those_of_lists(coco, name):
    images = coco.content['images']
    number = next(i for i in images if i['file_name'].startswith('x/2.'))
    there, number['file_name'] = number['file_name'], name
    if name.endswith('png') and not there.endswith('png'):
        with pytest.raises(FileNotFoundError, match='x/2.png'):
            read(coco)
        return
    paths = [i['img_path'] for i in infos(read(coco))]
    assert [p.endswith(there) for p in paths].count(True) == 1


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('image_id', 5, 'annotation 2 has the unknown image_id 5'),
        ('category_id', 1, 'annotation 2 has the unknown category_id 1'),
    ],
)
def test_dangling_annotations(coco, key, value, message):
    coco.content['annotations'][1][key] = value
    with pytest.raises(ValueError, match=f'ann.json: {message}'):
        read(coco)


def test_broken_files(coco):
    config = coco.write()
    path = coco.root / 'ann.json'
    for text in ('{"images": [', '[' * 100000):
        path.write_text(text)
        with pytest.raises(ValueError, match='ann.json: '):
            COCOImageLevelDataset(**config)
    path.write_text('[]')
    with pytest.raises(ValueError, match="ann.json: no 'images'"):
        COCOImageLevelDataset(**config)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='ann.json: annotation file'):
        COCOImageLevelDataset(**config)
    del coco.content['images'][0]['file_name']
    with pytest.raises(ValueError, match="ann.json: .*'images'.*file_name"):
        read(coco)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        (None, 'has no bbox'),
        ([1, 2, 3], r'has the bbox \[1, 2, 3\]: expected four finite'),
        ('x', "has the bbox 'x': expected four finite"),
        ([1, 2, float('nan'), 3], 'has the bbox .*nan.*expected four finite'),
        ([5, 2, -3, 3], r'has the bbox \[5, 2, -3, 3\]: the width'),
    ],
)
def test_broken_boxes(coco, box, message):
    annotation = coco.content['annotations'][1]
    annotation['bbox'] = box
    if box is None:
        del annotation['bbox']
    # Training needs no boxes.
    assert read(coco).get_data_info(0)['gt_count'].tolist() == [0, 2]
    with pytest.raises(ValueError, match=f'ann.json: annotation 2 {message}'):
        read(coco, test_mode=True)
    data = read(coco, test_mode=True, collect_problems=True)
    assert len(data.problems) == 1
    assert len(data.get_data_info(0)['eval_ann']['boxes']) == 1
    # Boxes of other classes are not read.
    read(coco, test_mode=True, metainfo=dict(classes=['bicycle']))


def test_a_file_of_labels_alone(coco):
    for annotation in coco.content['annotations']:
        del annotation['bbox'], annotation['segmentation']
    data = read(coco, test_mode=True, pipeline=BOXES)
    assert data.get_data_info(1)['gt_label'].tolist() == [BICYCLE, DOG]
    with pytest.raises(ValueError, match='the dataset has no boxes'):
        data[0]


@pytest.mark.parametrize(
    ('key', 'index', 'value', 'message'),
    [
        ('images', None, None, "'images' is None"),
        ('annotations', None, {}, "'annotations' is {}"),
        ('annotations', 1, None, "entry 1 of 'annotations' is None"),
        ('categories', 1, 7, "entry 1 of 'categories' is 7"),
        ('images', 1, {'id': 1, 'file_name': 5}, 'file_name 5'),
        ('images', 1, {'id': [1], 'file_name': 'x/1.jpg'}, 'id'),
        ('categories', 1, {'id': '3', 'name': 'cow'}, "'3'"),
        ('categories', 1, {'id': 99, 'name': 'dog'}, "name 'dog'"),
    ],
)
def test_malformed_lists(coco, key, index, value, message):
    if index is None:
        coco.content[key] = value
    else:
        coco.content[key][index] = value
    with pytest.raises(ValueError) as error:
        read(coco)
    assert 'ann.json' in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize('key', ['images', 'categories'])
def test_double_ids(coco, key):
    entries = coco.content[key]
    entries[1]['id'] = entries[0]['id']
    with pytest.raises(ValueError, match=rf"ann\.json: .*{key}' have the id"):
        read(coco)


@pytest.mark.parametrize('name', ['Dog', 'cat'])
def test_classes_that_the_file_lacks(coco, name):
    classes = dict(classes=['bicycle', name])
    with pytest.raises(ValueError, match=f'ann.json: .*{name!r}.*bicycle'):
        read(coco, metainfo=classes)
    data = read(coco, metainfo=classes, missing_class='ignore')
    assert data.get_data_info(1)['gt_label'].tolist() == [BICYCLE]


@pytest.mark.parametrize(
    ('value', 'crowd'),
    [(True, 1), ('1', 1), (1.0, 1), (False, 0), ('0', 0), (None, 0)],
)
def test_crowds_of_other_programs(coco, value, crowd):
    crowds = [x for x in coco.content['annotations'] if x.get('iscrowd')]
    crowds[0]['iscrowd'] = value
    second = read(coco).get_data_info(1)
    assert second['gt_count'][BICYCLE] == 1 - crowd
    crowds[0]['iscrowd'] = 'perhaps'
    with pytest.raises(ValueError, match='annotation 3 .*perhaps'):
        read(coco)


@pytest.mark.parametrize('value', [[], [[]], None, 'text', [1, 1, 9, 1, 9, 9]])
def test_segmentations_that_mark_nothing(coco, value):
    coco.content['annotations'][1]['segmentation'] = value
    with pytest.raises(
        ValueError, match=r'ann\.json: annotation 2 of the image x/1\.jpg'
    ):
        read(coco, test_mode=True, pipeline=MASKS)[0]


def test_a_file_of_boxes_alone(coco):
    for annotation in coco.content['annotations']:
        annotation['segmentation'] = []
    data = read(coco, test_mode=True, pipeline=MASKS)
    with pytest.raises(ValueError, match=r'ann\.json has boxes but no masks'):
        data[0]
    assert len(data.get_data_info(0)['eval_ann']['boxes']) == 2


def test_size_in_the_file(coco):
    coco.content['images'][0].update(width=12, height=16)
    with pytest.raises(ValueError, match='objects belong to one of 12 x 16'):
        read(coco, test_mode=True, pipeline=MASKS)[0]


def test_boxes_beyond_the_image(coco):
    coco.content['images'][0].update(width=16, height=12)
    coco.content['annotations'][1]['bbox'] = [2, 3, 40, 5]
    with pytest.raises(ValueError, match='ann.json: annotation 2 .* 16 x 12'):
        read(coco, test_mode=True)


@pytest.mark.parametrize('form', [float, str, lambda side: f' {side}.0'])
def test_sizes_of_any_form_are_compared(coco, form):
    for image in coco.content['images']:
        image.update(height=form(99), width=form(98))
    with pytest.raises(ValueError, match='98 x 99'):
        read(coco, test_mode=True, pipeline=BOXES)[0]


def test_numbers_beyond_all_pictures(coco):
    coco.content['annotations'][0]['bbox'] = [0, 0, 10**400, 4]
    with pytest.raises(ValueError, match='ann.json: annotation .* bbox'):
        read(coco, test_mode=True)


def test_spaces_around_names_of_categories(coco):
    categories = coco.content['categories']
    for item in categories:
        item['name'] = f' {item["name"]} '
    assert read(coco).classes == ('bicycle', 'dog')
    categories.append(dict(id=99, name='dog'))
    with pytest.raises(ValueError, match="categories.* 'dog'"):
        read(coco)
