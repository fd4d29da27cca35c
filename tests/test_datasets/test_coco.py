import numpy as np
import pytest

from mmwsl.datasets import COCOImageLevelDataset

BICYCLE, DOG = 0, 1


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


def test_known_answer(coco):
    data = COCOImageLevelDataset(**coco.write())
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
    data = COCOImageLevelDataset(
        crowd_label=False, crowd_count=True, **coco.write()
    )
    second = data.get_data_info(1)
    assert second['gt_label'].tolist() == [DOG]
    assert second['gt_label_difficult'].tolist() == [BICYCLE]
    assert second['gt_count'].tolist() == [1, 1]


def test_ground_truth_in_test_mode(coco):
    data = COCOImageLevelDataset(
        test_mode=True,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='LoadEvalAnnotations', with_masks=True),
        ],
        **coco.write(),
    )
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
    config = coco.write()
    dogs = dict(classes=['dog'])
    data = COCOImageLevelDataset(metainfo=dogs, **config)
    assert [i['gt_label'].tolist() for i in infos(data)] == [[0], [0], []]
    with pytest.raises(ValueError, match=r"ann.json: class 'bicycle'"):
        COCOImageLevelDataset(metainfo=dogs, unknown_class='error', **config)


def test_missing_image(coco):
    coco.content['images'][1]['file_name'] = 'x/none.jpg'
    config = coco.write()
    with pytest.raises(FileNotFoundError, match=r'ann.json: image 3 .*none'):
        COCOImageLevelDataset(**config)
    data = COCOImageLevelDataset(collect_problems=True, **config)
    assert len(data) == 2
    assert 'none.jpg' in data.problems[0][1]


@pytest.mark.parametrize('form', ['/{}', '../im/{}', 'x/../../{}', ''])
def test_images_lie_in_their_folder(coco, form):
    coco.content['images'][1]['file_name'] = form.format('x/2.jpg')
    config = coco.write()
    with pytest.raises(ValueError, match=r'ann.json: image 3: .* no name'):
        COCOImageLevelDataset(**config)
    data = COCOImageLevelDataset(collect_problems=True, **config)
    assert len(data) == 2
    assert 'image 3' in data.problems[0][1]


@pytest.mark.parametrize('name', ['x/2.JPG', 'x/2', 'x/2.png'])
def test_suffixes_are_those_of_lists(coco, name):
    images = coco.content['images']
    number = next(i for i in images if i['file_name'].startswith('x/2.'))
    there, number['file_name'] = number['file_name'], name
    config = coco.write()
    if name.endswith('png') and not there.endswith('png'):
        with pytest.raises(FileNotFoundError, match='x/2.png'):
            COCOImageLevelDataset(**config)
        return
    paths = [i['img_path'] for i in infos(COCOImageLevelDataset(**config))]
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
        COCOImageLevelDataset(**coco.write())


def test_broken_files(coco):
    config = coco.write()
    path = coco.root / 'ann.json'
    path.write_text('{"images": [')
    with pytest.raises(ValueError, match='ann.json: '):
        COCOImageLevelDataset(**config)
    path.write_text('[]')
    with pytest.raises(ValueError, match="ann.json: no 'images'"):
        COCOImageLevelDataset(**config)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='ann.json: annotation file'):
        COCOImageLevelDataset(**config)
    del coco.content['images'][0]['file_name']
    with pytest.raises(ValueError, match="ann.json: .*'images'.*'file_n"):
        COCOImageLevelDataset(**coco.write())


def test_no_images(coco):
    coco.content.update(images=[], annotations=[])
    with pytest.raises(ValueError, match='no entry .*ann.json'):
        COCOImageLevelDataset(**coco.write())


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        (None, 'has no bbox'),
        ([1, 2, 3], r'has the bbox \[1, 2, 3\], expected four finite'),
        ('x', "has the bbox 'x', expected four finite"),
        ([1, 2, float('nan'), 3], 'has the bbox .*nan.*expected four finite'),
        ([5, 2, -3, 3], r'has the bbox \[5, 2, -3, 3\], whose width'),
    ],
)
def test_broken_boxes(coco, box, message):
    annotation = coco.content['annotations'][1]
    annotation['bbox'] = box
    if box is None:
        del annotation['bbox']
    config = coco.write()
    # Training needs no boxes.
    data = COCOImageLevelDataset(**config)
    assert data.get_data_info(0)['gt_count'].tolist() == [0, 2]
    with pytest.raises(ValueError, match=f'ann.json: annotation 2 {message}'):
        COCOImageLevelDataset(test_mode=True, **config)
    data = COCOImageLevelDataset(
        test_mode=True, collect_problems=True, **config
    )
    assert len(data.problems) == 1
    assert len(data.get_data_info(0)['eval_ann']['boxes']) == 1
    # Boxes of other classes are not read.
    COCOImageLevelDataset(
        test_mode=True, metainfo=dict(classes=['bicycle']), **config
    )


def test_a_file_of_labels_alone(coco):
    for annotation in coco.content['annotations']:
        del annotation['bbox'], annotation['segmentation']
    pipeline = [
        dict(type='LoadWSLImage'),
        dict(
            type='LoadEvalAnnotations', with_seg_map=False, with_instances=True
        ),
    ]
    data = COCOImageLevelDataset(
        test_mode=True, pipeline=pipeline, **coco.write()
    )
    assert data.get_data_info(1)['gt_label'].tolist() == [BICYCLE, DOG]
    with pytest.raises(ValueError, match='the dataset has no boxes'):
        data[0]


@pytest.mark.parametrize(
    ('key', 'index', 'value', 'message'),
    [
        ('images', None, None, "'images' is None"),
        ('annotations', None, {}, "'annotations' is {}"),
        ('annotations', 1, None, 'entry 1 is None'),
        ('categories', 1, 7, 'entry 1 is 7'),
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
        COCOImageLevelDataset(**coco.write())
    assert 'ann.json' in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize('key', ['images', 'categories'])
def test_double_ids(coco, key):
    entries = coco.content[key]
    entries[1]['id'] = entries[0]['id']
    with pytest.raises(ValueError, match=rf"ann\.json: .*{key}' have the id"):
        COCOImageLevelDataset(**coco.write())


def test_deep_nesting(coco):
    config = coco.write()
    (coco.root / 'ann.json').write_text('[' * 100000)
    with pytest.raises(ValueError, match=r'ann\.json'):
        COCOImageLevelDataset(**config)


@pytest.mark.parametrize('name', ['Dog', 'cat'])
def test_classes_that_the_file_lacks(coco, name):
    config = dict(coco.write(), metainfo=dict(classes=['bicycle', name]))
    with pytest.raises(ValueError, match=f'ann.json: .*{name!r}.*bicycle'):
        COCOImageLevelDataset(**config)
    data = COCOImageLevelDataset(missing_class='ignore', **config)
    assert data.get_data_info(1)['gt_label'].tolist() == [BICYCLE]


@pytest.mark.parametrize(
    ('value', 'crowd'),
    [(True, 1), ('1', 1), (1.0, 1), (False, 0), ('0', 0), (None, 0)],
)
def test_crowds_of_other_programs(coco, value, crowd):
    for annotation in coco.content['annotations']:
        if annotation.get('iscrowd'):
            annotation['iscrowd'] = value
    second = COCOImageLevelDataset(**coco.write()).get_data_info(1)
    assert second['gt_count'][BICYCLE] == 1 - crowd


def test_unknown_crowds(coco):
    coco.content['annotations'][1]['iscrowd'] = 'perhaps'
    with pytest.raises(ValueError, match='annotation 2 .*perhaps'):
        COCOImageLevelDataset(**coco.write())


def masks_of(coco):
    pipeline = [
        dict(type='LoadWSLImage'),
        dict(type='LoadEvalAnnotations', with_masks=True),
    ]
    return COCOImageLevelDataset(
        test_mode=True, pipeline=pipeline, **coco.write()
    )


@pytest.mark.parametrize('value', [[], [[]], None, 'text', [1, 1, 9, 1, 9, 9]])
def test_segmentations_that_mark_nothing(coco, value):
    coco.content['annotations'][1]['segmentation'] = value
    with pytest.raises(
        ValueError, match=r'ann\.json: annotation 2 of the image x/1\.jpg'
    ):
        masks_of(coco)[0]


def test_a_file_of_boxes_alone(coco):
    for annotation in coco.content['annotations']:
        annotation['segmentation'] = []
    data = masks_of(coco)
    with pytest.raises(ValueError, match=r'ann\.json has boxes but no masks'):
        data[0]
    assert len(data.get_data_info(0)['eval_ann']['boxes']) == 2


def test_size_in_the_file(coco):
    coco.content['images'][0].update(width=12, height=16)
    with pytest.raises(ValueError, match='objects belong to one of 12 x 16'):
        masks_of(coco)[0]


def test_boxes_beyond_the_image(coco):
    coco.content['images'][0].update(width=16, height=12)
    coco.content['annotations'][1]['bbox'] = [2, 3, 40, 5]
    with pytest.raises(ValueError, match='ann.json: annotation 2 .* 16 x 12'):
        masks_of(coco)


@pytest.mark.parametrize('form', [float, str, lambda side: f' {side}.0'])
def test_sizes_of_any_form_are_compared(coco, form):
    for image in coco.content['images']:
        image.update(height=form(99), width=form(98))
    data = COCOImageLevelDataset(
        test_mode=True,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='LoadEvalAnnotations', with_instances=True),
        ],
        **coco.write(),
    )
    with pytest.raises(ValueError, match='98 x 99'):
        data[0]


def test_numbers_beyond_all_pictures(coco):
    coco.content['annotations'][0]['bbox'] = [0, 0, 10**400, 4]
    with pytest.raises(ValueError, match='ann.json: annotation .* bbox'):
        COCOImageLevelDataset(test_mode=True, **coco.write())


def test_spaces_around_names_of_categories(coco):
    categories = coco.content['categories']
    for item in categories:
        item['name'] = f' {item["name"]} '
    assert COCOImageLevelDataset(**coco.write()).classes == ('bicycle', 'dog')
    categories.append(dict(id=99, name='dog'))
    with pytest.raises(ValueError, match="categories.* 'dog'"):
        COCOImageLevelDataset(**coco.write())
