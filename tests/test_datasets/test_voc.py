import re

import numpy as np
import pytest

from mmwsl.datasets import VOCImageLevelDataset
from mmwsl.datasets.voc import VOC_PALETTE, read_voc_xml

CAT, DOG, PERSON = 7, 11, 14

EVALUATION = [
    dict(type='LoadWSLImage', min_size=1),
    dict(type='LoadEvalAnnotations', with_seg_map=False, with_instances=True),
]
_BOX = (3, 2, 10, 9)


def read(folder, **kwargs):
    return VOCImageLevelDataset(data_root=str(folder.root), **kwargs)


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


def test_labels_and_counts_with_the_default_policy(voc):
    first, second, third, fourth = infos(read(voc))
    assert first['img_id'] == 'a'
    assert first['img_path'].endswith('JPEGImages/a.jpg')
    assert second['img_path'].endswith('JPEGImages/b.png')
    assert first['gt_label'].tolist() == [CAT, DOG]
    assert first['gt_count'][[CAT, DOG, PERSON]].tolist() == [2, 1, 0]
    assert first['gt_count'].shape == (20,)
    # The hard dog is a label, kept apart, and does not count.
    assert second['gt_label'].tolist() == [DOG, PERSON]
    assert second['gt_label_difficult'].tolist() == [DOG]
    assert second['gt_count'][[DOG, PERSON]].tolist() == [0, 1]
    assert third['gt_label_difficult'].tolist() == []
    # A hard cat beside an easy one changes nothing.
    assert fourth['gt_label'].tolist() == [CAT]
    assert fourth['gt_label_difficult'].tolist() == []
    assert fourth['gt_count'][CAT] == 1


def test_difficult_options(voc):
    data = read(voc, difficult_label=False, difficult_count=True)
    second, fourth = data.get_data_info(1), data.get_data_info(3)
    assert second['gt_label'].tolist() == [PERSON]
    assert second['gt_label_difficult'].tolist() == [DOG]
    assert second['gt_count'][[DOG, PERSON]].tolist() == [1, 1]
    assert fourth['gt_count'][CAT] == 2


def test_boxes_in_test_mode(voc):
    truth = read(voc, test_mode=True).get_data_info(1)['eval_ann']
    # xmin 3 is the third pixel, which starts at 2; xmax 10 ends at 10.
    assert truth['boxes'].tolist() == [[2, 1, 10, 9], [2, 1, 10, 9]]
    assert truth['labels'].tolist() == [DOG, PERSON]
    assert truth['difficult'].tolist() == [True, False]
    assert truth['seg_map_path'].endswith('SegmentationClass/b.png')


def test_own_classes(voc):
    classes = dict(classes=['person', 'cat', 'dog'])
    assert read(voc, metainfo=classes).get_cat_ids(0) == [1, 2]
    cats = dict(metainfo=dict(classes=['cat']))
    with pytest.raises(ValueError, match=r"a.xml: class 'dog' is not in"):
        read(voc, **cats)
    data = read(voc, unknown_class='ignore', **cats)
    assert [i['gt_label'].tolist() for i in infos(data)] == [[0], [], [], [0]]
    keep = dict(filter_empty_gt=True)
    assert len(read(voc, unknown_class='ignore', filter_cfg=keep, **cats)) == 2


@pytest.mark.parametrize('text', ['a  1\nb -1\nc  0', 'a\r\nb\r\nc\n\n'])
def test_image_sets_with_flags_and_any_end(voc, text):
    path = voc.write_list([])
    path.write_bytes(text.encode())
    data = read(voc, ann_file=str(path))
    assert len(data) == 3
    assert data.get_cat_ids(0) == [CAT, DOG]


def test_plain_lists(voc):
    path = voc.root / 'list.txt'
    path.write_text('a.jpg person cat\nJPEGImages/b.png dog\nc dog dog\n')
    first, second, third = infos(read(voc, ann_file='list.txt'))
    assert first['gt_label'].tolist() == [CAT, PERSON]
    assert second['img_id'] == 'b'
    assert third['gt_label'].tolist() == [DOG]
    assert 'gt_count' not in first
    path.write_text('a.jpg cat\nb.png unicorn\n')
    with pytest.raises(ValueError, match=r"list.txt: line 2: class 'unicorn"):
        read(voc, ann_file='list.txt')
    path.write_text('a.jpg cat\nb.png\n')
    with pytest.raises(ValueError, match='list.txt: line 2 names no class'):
        read(voc, ann_file='list.txt')
    data = read(voc, ann_file='list.txt', allow_empty=True)
    assert data.get_cat_ids(1) == []


def test_a_dot_in_a_name_is_no_suffix(empty_voc):
    empty_voc.add('v1.5', [('cat', 0, (1, 1, 2, 2))])
    info = read(empty_voc).get_data_info(0)
    assert info['img_path'].endswith('v1.5.jpg')
    assert info['img_id'] == 'v1.5'


def test_list_that_names_a_missing_image(voc):
    voc.write_list(['a', 'nothing'])
    with pytest.raises(
        FileNotFoundError, match=r'train.txt: line 2 .*JPEGImages/nothing,'
    ):
        read(voc)


@pytest.mark.parametrize(
    ('lines', 'expected'),
    [
        (['c 2'], ['c 2']),
        (['c'], ['c']),
        (['c 2 1', 'c -1'], ['c 2', 'c']),
        (['c 1', 'c 2'], ['c 1', 'c 2']),
        (['c 2.jpg', 'x/ y  z '], ['c 2', 'x/ y  z']),
    ],
)
def test_names_with_spaces(voc, lines, expected):
    for name in ('c 1', 'c 2', 'x/ y  z'):
        (voc.root / 'Annotations/x').mkdir(exist_ok=True)
        voc.add(name, [('cow', 0, _BOX)])
    voc.write_list(lines)
    assert [info['img_id'] for info in infos(read(voc))] == expected


def test_names_with_spaces_and_classes(voc, write_image):
    for name in ('c cat', 'x/1', 'y/1'):
        write_image(voc.root / 'JPEGImages' / f'{name}.jpg')
    lines = 'a cat dog\nc cat.jpg dog\nx/1.jpg cat\ny/1.jpg dog\n'
    (voc.root / 'list.txt').write_text(lines)
    data = read(voc, ann_file='list.txt')
    ids = ['a', 'c cat', 'x/1', 'y/1']
    assert [info['img_id'] for info in infos(data)] == ids
    assert data.get_cat_ids(1) == [DOG]


@pytest.mark.parametrize(
    ('text', 'separator'),
    [
        ('a.jpg red fire truck cow\n"c 1.jpg" fire cow\n', None),
        ('a "red fire truck" "cow"\n"c 1" "fire" cow\n', None),
        ('a\tred fire truck\tcow\nc 1\tfire\tcow\n', '\t'),
        ('a.jpg, red fire truck, cow\n"c 1.jpg", "fire", cow,\n', ','),
    ],
)
def test_classes_with_spaces(voc, write_image, text, separator):
    write_image(voc.root / 'JPEGImages' / 'c 1.jpg')
    (voc.root / 'list.txt').write_text(text)
    names = ['fire', 'truck', 'fire truck', 'red fire truck', 'cow', 'red']
    (voc.root / 'names.txt').write_text('\n'.join(names))
    data = read(
        voc,
        ann_file='list.txt',
        metainfo=dict(classes=str(voc.root / 'names.txt')),
        separator=separator,
    )
    found = [
        (info['img_id'], data.get_cat_ids(i))
        for i, info in enumerate(infos(data))
    ]
    assert found == [('a', [3, 4]), ('c 1', [0, 4])]


@pytest.mark.parametrize(
    ('text', 'separator', 'message'),
    [
        ('a,red fruit\n', ',', "line 1: class 'red fruit' is"),
        ('z 1,red fruit\n', ',', r'line 1 .*JPEGImages/z 1,'),
        ('"z 1" cow\n', None, r'line 1 .*JPEGImages/z 1,'),
        # A missing name is named as it stands there.
        ('a 17\n', None, 'line 1 .*JPEGImages/a'),
        ('a 1\nb\n', None, 'line 1 .*JPEGImages/a'),
        ('z 17\n', None, 'line 1 .*JPEGImages/z'),
    ],
)
def test_errors_of_lines(voc, text, separator, message):
    (voc.root / 'list.txt').write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        read(voc, ann_file='list.txt', separator=separator)


@pytest.mark.parametrize('lines', [['c 1'], ['c cow']])
def test_lines_that_may_name_two_images(voc, lines):
    for line in lines:
        voc.add(line, [('cow', 0, _BOX)])
    voc.write_list(lines)
    with pytest.raises(ValueError, match='train.txt: line 1 may name .*c.jpg'):
        read(voc)


def test_absolute_paths(voc):
    voc.write_list([str(voc.root / 'JPEGImages' / 'a.jpg'), '/b'])
    assert [info['img_id'] for info in infos(read(voc))] == ['a', 'b']


def xml_of(voc, name, **changes):
    path = voc.root / 'Annotations' / f'{name}.xml'
    text = path.read_text()
    for old, new in changes.items():
        text = re.sub(f'<{old}>.*?</{old}>', new, text)
    path.write_text(text)


def test_labels_need_neither_size_nor_boxes(voc):
    size = '<size><width>0</width><height>0</height></size>'
    xml_of(voc, 'a', size=size, bndbox='')
    assert read(voc).get_data_info(0)['gt_count'][CAT] == 2
    data = read(voc, test_mode=True, pipeline=EVALUATION)
    with pytest.raises(ValueError, match=r'a.jpg: the dataset has no boxes'):
        data[0]
    xml_of(voc, 'b', size=size)
    assert len(data[1]['eval_gt']['gt_instances']['bboxes']) == 2


@pytest.mark.parametrize(
    ('key', 'number'), [('xmin', 0), ('ymax', 13), ('xmax', 1e12)]
)
@pytest.mark.parametrize('known', [True, False])
def test_boxes_beyond_the_image(voc, key, number, known):
    changes = {key: f'<{key}>{number}</{key}>'}
    if not known:
        changes['size'] = ''
    xml_of(voc, 'c', **changes)
    assert len(read(voc)) == 4
    with pytest.raises(ValueError, match=r'\Wc\.(xml|jpg): box'):
        read(voc, test_mode=True, pipeline=EVALUATION)[2]
    if known:
        problems = read(voc, collect_problems=True).problems
        assert [path[-5:] for path, _ in problems] == ['c.xml']


def test_files_that_count_from_0(voc):
    box = '<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>16</xmax><ymax>11</ymax>'
    xml_of(voc, 'c', bndbox=f'{box}</bndbox>')
    with pytest.raises(ValueError, match=r'c.xml: box .*first_pixel=0'):
        read(voc, test_mode=True)
    data = read(voc, test_mode=True, first_pixel=0, pipeline=EVALUATION)
    found = data[2]['eval_gt']['gt_instances']['bboxes'].tolist()
    assert found == [[0, 0, 16, 12]]


def test_missing_list_and_annotation(voc):
    with pytest.raises(FileNotFoundError, match='val.txt: list of images'):
        read(voc, ann_file='ImageSets/Main/val.txt')
    (voc.root / 'Annotations' / 'b.xml').unlink()
    with pytest.raises(FileNotFoundError, match=r'line 2 .*b.xml'):
        read(voc)
    with pytest.raises(ValueError, match='labels_from must be .auto'):
        read(voc, labels_from='json')


def test_xml_without_objects(empty_voc):
    empty_voc.add('e', [])
    with pytest.raises(ValueError, match='e.xml: XML without objects'):
        read(empty_voc)
    info = read(empty_voc, allow_empty=True, test_mode=True).get_data_info(0)
    assert info['gt_label'].tolist() == []
    assert info['gt_count'].sum() == 0
    assert info['eval_ann']['boxes'].shape == (0, 4)


def test_collecting_finds_all_problems(voc):
    annotations = voc.root / 'Annotations'
    (annotations / 'a.xml').write_text('<annotation><object>')
    text = (annotations / 'c.xml').read_text()
    (annotations / 'c.xml').write_text(text.replace('person', 'unicorn'))
    voc.write_list(['a', 'b', 'c', 'd', 'nothing', 'b'])
    data = read(voc, collect_problems=True)
    assert [info['img_id'] for info in infos(data)] == ['b', 'd']
    messages = [f'{path}: {message}' for path, message in data.problems]
    assert len(messages) == 4
    for part in ('a.xml: XML does not parse', 'unicorn', 'line 5', "id 'b'"):
        assert sum(part in message for message in messages) == 1
    assert not any('\n' in message for message in messages)


def test_palette_is_that_of_the_development_kit():
    assert VOC_PALETTE[0] == (128, 0, 0)
    assert VOC_PALETTE[CAT] == (64, 0, 0)
    assert VOC_PALETTE[19] == (0, 64, 128)


def test_the_photographs_of_2007(shared_dir):
    root = shared_dir / 'data' / 'voc12_2007'
    data = VOCImageLevelDataset(
        data_root=str(root),
        ann_file='ImageSets/Segmentation/val.txt',
        test_mode=True,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='LoadEvalAnnotations', with_instances=True),
            dict(
                type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')
            ),
        ],
    )
    # 160 line ends, but the last line has none.
    assert len(data) == 161
    sample = data[0]['data_samples']
    assert sample.img_id == '2007_000033'
    assert sample.gt_count.nonzero().tolist() == [[0]]
    assert sample.gt_count[0] == 3
    present = np.unique(sample.gt_sem_seg.data)
    assert present.tolist() == [0, 1, 255]
    # The mask's pixels lie in the boxes, which an error by one shows.
    rows, columns = np.nonzero(sample.gt_sem_seg.data[0].numpy() == 1)
    boxes = sample.gt_instances.bboxes.numpy()
    assert abs(columns.min() - boxes[:, 0].min()) <= 2
    assert abs(rows.max() + 1 - boxes[:, 3].max()) <= 2


OBJECT = (
    '<object><name> cat </name>{}<bndbox><xmin>3</xmin><ymin>1.5</ymin>'
    '<xmax>3</xmax><ymax>4</ymax></bndbox></object>'
)


def write_xml(tmp_path, text):
    path = tmp_path / 'a.xml'
    path.write_text(f'<annotation>{text}</annotation>')
    return str(path)


def test_known_annotation(tmp_path):
    text = OBJECT.format('<difficult>1</difficult>') + OBJECT.format('')
    annotation = read_voc_xml(write_xml(tmp_path, text))
    assert annotation.size is None
    first, second = annotation.objects
    assert first == ('cat', True, (2.0, 0.5, 3.0, 4.0))
    assert second.difficult is False


@pytest.mark.parametrize(
    ('width', 'size'), [('4', (5, 4)), ('0', None), ('x', None), ('', None)]
)
def test_a_size_that_is_not_known(tmp_path, width, size):
    text = f'<size><width>{width}</width><height>5</height></size>'
    annotation = read_voc_xml(write_xml(tmp_path, text + OBJECT.format('')))
    assert annotation.size == size
    assert annotation.objects[0].name == 'cat'


@pytest.mark.parametrize(
    ('text', 'difficult'),
    [('true', True), ('False', False), (' 1 ', True), ('', False)],
)
def test_other_programs(tmp_path, text, difficult):
    """A namespace, flags in words, counting from 0, objects without box."""
    text = OBJECT.format(f'<difficult>{text}</difficult>')
    path = write_xml(tmp_path, text + '<object><name>dog</name></object>')
    with open(path, encoding='utf-8') as file:
        content = file.read().replace('<annotation', '<annotation xmlns="u:v"')
    (tmp_path / 'a.xml').write_text(content)
    assert read_voc_xml(path, 0).objects == [
        ('cat', difficult, (3, 1.5, 4, 5)),
        ('dog', False, None),
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('<object>', 'a.xml: XML does not parse'),
        (OBJECT.format('').replace('cat', ''), 'object 1 has no name'),
        (OBJECT.format('').replace('3</xmin', 'x</xmin'), "xmin is 'x'"),
        (OBJECT.format('').replace('<ymax>4</ymax>', ''), 'ymax is None'),
        (OBJECT.format('').replace('3</xmax', '2</xmax'), 'inverted box'),
        (OBJECT.format('').replace('3</xmin', 'nan</xmin'), "xmin is 'nan'"),
        (OBJECT.format('<difficult>2</difficult>'), "difficult is '2'"),
    ],
)
def test_broken_annotations(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read_voc_xml(write_xml(tmp_path, text))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'text', ['', '<?xml version="1.0" encoding="nonsense"?><annotation/>']
)
def test_what_is_no_xml(tmp_path, text):
    path = tmp_path / 'a.xml'
    with pytest.raises(FileNotFoundError, match='a.xml: annotation file'):
        read_voc_xml(str(path))
    path.write_text(text)
    with pytest.raises(ValueError, match='a.xml: XML does not parse'):
        read_voc_xml(str(path))
