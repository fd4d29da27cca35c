import numpy as np
import pytest

from mmwsl.datasets import WSOLDataset

IDS = ['x/a.jpg', 'x/b.v2.jpg', 'y/a.jpg']
FILES = {
    'image_ids.txt': '\n'.join(IDS) + '\n',
    'class_labels.txt': 'x/a.jpg,0\nx/b.v2.jpg,2\ny/a.jpg,1',
    'image_sizes.txt': 'x/a.jpg,16,12\nx/b.v2.jpg,16,12\ny/a.jpg,16,12\n',
    'localization.txt': (
        'x/a.jpg,1,2,10,11\nx/b.v2.jpg,0,0,16,12\nx/a.jpg,3,3,4,4\n'
        'y/a.jpg,5,5,5,5\n'
    ),
}
MASKS = {
    'localization.txt': (
        'x/a.jpg,m/1.png,m/ignore.png\nx/a.jpg,m/2.png,\n'
        'x/b.v2.jpg,m/1.png,\ny/a.jpg,m/2.png,\n'
    )
}


@pytest.fixture
def layout(tmp_path, write_image, write_mask):
    for name in IDS:
        write_image(tmp_path / 'images' / name)
    first, second, ignore = np.zeros((3, 12, 16), np.uint8)
    first[2:4, 2:6], second[3:6, 4:9], ignore[:, :3] = 1, 255, 7
    for name, mask in (('1', first), ('2', second), ('ignore', ignore)):
        write_mask(tmp_path / 'masks' / 'm' / f'{name}.png', mask)

    def write(**files):
        folder = tmp_path / 'metadata'
        folder.mkdir(exist_ok=True)
        for name, text in {**FILES, **files}.items():
            (folder / name).write_text(text)

    write()
    return tmp_path, write


def read(layout, **kwargs):
    prefix = dict(img_path='images', mask_path='masks')
    return WSOLDataset(
        **{
            **dict(data_root=str(layout[0]), ann_file='metadata'),
            **dict(data_prefix=prefix, num_classes=3),
            **kwargs,
        }
    )


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


def test_labels_of_a_training_set(layout):
    data = read(layout)
    assert data.metainfo['classes'] == ['0', '1', '2']
    assert [i['img_id'] for i in infos(data)] == ['x/a', 'x/b.v2', 'y/a']
    assert [i['gt_label'].tolist() for i in infos(data)] == [[0], [2], [1]]
    first = data.get_data_info(0)
    assert first['img_path'] == str(layout[0] / 'images' / 'x' / 'a.jpg')


def test_training_needs_labels_only(layout):
    for name in ('image_sizes.txt', 'localization.txt'):
        (layout[0] / 'metadata' / name).unlink()
    assert len(read(layout)) == 3
    # Classification can be tested without ground truth of localisation.
    assert read(layout, test_mode=True).get_data_info(0)['eval_ann'] == {}


def test_boxes_in_test_mode(layout):
    truth = [i['eval_ann'] for i in infos(read(layout, test_mode=True))]
    assert truth[0]['boxes'].tolist() == [[1, 2, 10, 11], [3, 3, 4, 4]]
    assert truth[1]['labels'].tolist() == [2]
    assert truth[0]['difficult'].tolist() == [False, False]
    assert truth[2]['size'] == (12, 16)


def test_boxes_through_the_pipeline(layout):
    pipeline = [
        dict(type='LoadWSLImage'),
        dict(type='Resize', scale=(8, 8)),
        dict(
            type='LoadEvalAnnotations', with_seg_map=False, with_instances=True
        ),
        dict(type='PackWSLInputs', eval_keys=('gt_instances',)),
    ]
    data = read(layout, test_mode=True, pipeline=pipeline)
    sample = data[1]['data_samples']
    assert sample.gt_instances.bboxes.tolist() == [[0, 0, 16, 12]]
    assert sample.gt_label.tolist() == [2]
    lines = FILES['image_sizes.txt'].replace(
        'b.v2.jpg,16,12', 'b.v2.jpg,16,13'
    )
    layout[1](**{'image_sizes.txt': lines})
    data = read(layout, test_mode=True, pipeline=pipeline)
    with pytest.raises(
        ValueError, match=r'b.v2.jpg: the image is 16 x 12, .* of 16 x 13'
    ):
        data[1]


def test_masks_through_the_pipeline(layout):
    layout[1](**MASKS)
    pipeline = [
        dict(type='LoadWSLImage'),
        dict(type='LoadEvalAnnotations', with_loc_mask=True, loc_mask_size=6),
        dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_loc_mask')),
    ]
    data = read(layout, test_mode=True, pipeline=pipeline)
    expected = np.zeros((12, 16), np.int64)
    # Objects win over the ignore region.
    expected[:, :3] = 255
    expected[2:4, 2:6] = expected[3:6, 4:9] = 1
    first = data[0]['data_samples']
    # Label 0 is 1 in a mask of classes as well.
    assert np.array_equal(first.gt_sem_seg.data[0], expected)
    rows, columns = np.arange(6) * 2, np.arange(6) * 16 // 6
    nearest = expected[rows][:, columns]
    assert np.array_equal(first.gt_loc_mask.data[0], nearest)
    second = data[1]['data_samples']
    assert second.gt_sem_seg.data.unique().tolist() == [0, 3]
    assert second.gt_loc_mask.data.unique().tolist() == [0, 1]


def test_class_names(layout):
    path = layout[0] / 'metadata' / 'class_names.txt'
    path.write_text('\ufeffant \nbee\ncod\n\n', encoding='utf-8')
    assert read(layout).metainfo['classes'] == ['ant', 'bee', 'cod']
    own = dict(metainfo=dict(classes=['a', 'b', 'c']))
    assert read(layout, **own).metainfo['classes'] == ['a', 'b', 'c']
    for text, message in (
        ('ant\nbee\n', 'num_classes is 3, but there are 2 class names'),
        ('ant\n\ncod\n', 'class_names.txt: line 2: .*blank'),
        ('ant\nbee\nant', "class_names.txt: .*'ant' 2 times"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read(layout)
    path.unlink()
    assert len(read(layout, num_classes=None).metainfo['classes']) == 3


def test_several_entries_may_share_an_image(layout):
    layout[1](
        **{
            'image_ids.txt': 'x/a/ant\nx/a/bee\n',
            'image_paths.txt': 'x/a/ant,x/a.jpg\nx/a/bee,x/a.jpg\n',
            'class_labels.txt': 'x/a/ant,0\nx/a/bee,1\n',
            'image_sizes.txt': 'x/a/ant,16,12\nx/a/bee,16,12\n',
            'localization.txt': 'x/a/ant,0,0,1,1\nx/a/bee,2,2,3,3\n',
        }
    )
    first, second = infos(read(layout, test_mode=True))
    assert first['img_path'] == second['img_path']
    assert first['img_id'] == 'x/a/ant'
    assert second['eval_ann']['boxes'].tolist() == [[2, 2, 3, 3]]


def test_a_part_of_the_list(layout):
    (layout[0] / 'metadata' / 'proxy.txt').write_text('y/a.jpg\n')
    assert len(read(layout, ids_file='proxy.txt')) == 1


BROKEN = [
    ('image_ids.txt', 'z.jpg\n', 'image_ids.txt: line 1: names the image'),
    ('image_ids.txt', 'x/a.jpg\nx/a.jpg\n', "image id 'x/a' is already"),
    (
        'class_labels.txt',
        'x/a.jpg,0\nx/b.v2.jpg,3\ny/a.jpg,1',
        'class_labels.txt: line 2: label 3 of x/b.v2.jpg is not in 0..2',
    ),
    (
        'class_labels.txt',
        'x/a.jpg,cat\nx/b.v2.jpg,1\ny/a.jpg,1',
        "class_labels.txt: line 1: 'cat' is no label",
    ),
    (
        'class_labels.txt',
        'x/a.jpg,\u00b2\nx/b.v2.jpg,1\ny/a.jpg,1',
        "class_labels.txt: line 1: '\u00b2' is no label",
    ),
    (
        'class_labels.txt',
        'x/a.jpg,0\ny/a.jpg,1',
        'image_ids.txt: line 2: class_labels.txt has no label of x/b.v2.jpg',
    ),
    (
        'localization.txt',
        FILES['localization.txt'].replace('3,3,4,4', '5,3,4,4'),
        r'localization.txt: line 3: box \(5, 3, 4, 4\) is inverted',
    ),
    (
        'localization.txt',
        FILES['localization.txt'].replace('16,12', '17,12'),
        r'localization.txt: line 2: box .* is outside the image, which is 16',
    ),
    (
        'localization.txt',
        FILES['localization.txt'].replace('3,3,4,4', '3,3,4'),
        'localization.txt: line 3: expected id,x0,y0,x1,y1, got',
    ),
    (
        'localization.txt',
        FILES['localization.txt'].replace('3,3,4,4', '3,q,4,4'),
        "localization.txt: line 3: '3,q,4,4' is no x0,y0,x1,y1",
    ),
    (
        'localization.txt',
        'x/a.jpg,1,2,10,11\ny/a.jpg,1,2,10,11\n',
        'localization.txt: no line of x/b.v2.jpg',
    ),
    (
        'localization.txt',
        MASKS['localization.txt'].replace('m/2.png', 'm/3.png', 1),
        r'localization.txt: line 2: names the mask .*m/3.png, which does not',
    ),
    ('image_sizes.txt', 'x/a.jpg,16,0\n', "line 1: '16,0' is no width,heig"),
    ('image_sizes.txt', 'x/a.jpg,16,\u00b2\n', 'line 1: .* is no width,heig'),
    (
        'class_labels.txt',
        'x/a.jpg,0\nx/b.v2.jpg,1\ny/a.jpg,1\nx/a.jpg,1',
        'class_labels.txt: line 4: a second label of x/a.jpg',
    ),
    ('image_paths.txt', 'x/a.jpg\n', 'line 1: expected id,path, got'),
]


@pytest.mark.parametrize(('name', 'text', 'message'), BROKEN)
def test_bad_lines(layout, name, text, message):
    layout[1](**{name: text})
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        read(layout, test_mode=True)


def test_collecting_finds_all_problems(layout):
    layout[1](
        **{
            'image_ids.txt': '\n'.join([*IDS, 'z.jpg']),
            'class_labels.txt': 'x/a.jpg,0\nx/b.v2.jpg,7\ny/a.jpg,1\n',
            'localization.txt': 'x/a.jpg,9,2,1,11\ny/a.jpg,1,1,2,2\n',
        }
    )
    data = read(layout, test_mode=True, collect_problems=True)
    assert [info['img_id'] for info in infos(data)] == ['y/a']
    found = [': '.join(problem) for problem in data.problems]
    for text, part in zip(found, ('is inverted', 'label 7', 'names the')):
        assert part in text
    assert len(found) == 3


def test_boxes_over_the_border_can_be_kept(layout):
    text = FILES['localization.txt'].replace('16,12', '17,12')
    layout[1](**{'localization.txt': text})
    data = read(layout, test_mode=True, outside_boxes='keep')
    assert data.get_data_info(1)['eval_ann']['boxes'][0, 2] == 17
    with pytest.raises(ValueError, match="must be 'error' or 'keep'"):
        read(layout, outside_boxes='clip')


@pytest.mark.parametrize('label', ['1000000000', '60000', '9' * 5000])
def test_labels_that_no_data_set_has(layout, label):
    text = FILES['class_labels.txt'].replace('b.v2.jpg,2', f'b.v2.jpg,{label}')
    layout[1](**{'class_labels.txt': text})
    with pytest.raises(ValueError, match=r'class_labels.txt: '):
        read(layout, num_classes=None)


@pytest.mark.parametrize('name', ['../x/a.jpg', '/x/a.jpg'])
def test_ids_and_masks_stay_in_their_folder(layout, name):
    layout[1](
        **{
            'image_ids.txt': f'{name}\n',
            'class_labels.txt': f'{name},0\n',
        }
    )
    with pytest.raises(ValueError, match='image_ids.txt: line 1: .*a.jpg'):
        read(layout)
    text = MASKS['localization.txt'].replace('m/1.png', name, 1)
    layout[1](**{'localization.txt': text})
    with pytest.raises(ValueError, match='localization.txt: line 1: .*a.jpg'):
        read(layout, test_mode=True)
