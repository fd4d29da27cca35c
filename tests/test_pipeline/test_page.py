"""The page holds what it says: parsed as a browser would."""

import json
from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.pipeline.page import (
    LONGEST,
    Row,
    choose_images,
    clock,
    draw_file,
    number_text,
    picture_column,
    read_fitting,
    read_picture,
    summary_cells,
    write_page,
    write_summary,
)
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.pseudo_labels.regions import write_regions
from mmwsl.visualization.drawing import (
    class_colors,
    draw_label_map,
    heatmap_overlay,
)
from pipeline_files import LAST, USER, WRITER, read

IDS = [f'a/{number}' for number in range(5)]
VOID = ('meta', 'img')


class Page(HTMLParser):
    """Collects the cells of the tables and the pictures."""

    def __init__(self, path):
        super().__init__()
        self.tables, self.images, self.links = [], [], []
        self.open, self.headings = [], 0
        self.feed(path.read_text())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')
        elif tag == 'img':
            self.images.append(attrs)
            self.tables[-1][-1][-1] += f'<{attrs["src"]}>'
        elif tag == 'a':
            self.links.append(attrs['href'])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {'td', 'th'} & set(self.open):
            self.tables[-1][-1][-1] += data


@pytest.fixture
def folder(tmp_path):
    """Images, masks of some, label maps of all and class maps of one."""
    label = np.zeros((40, 60), np.uint8)
    label[:20], label[20:25] = 2, 255
    for img_id in IDS:
        write(tmp_path / f'images/{img_id}.jpg', np.full((40, 60, 3), 90))
        write(tmp_path / f'work/one/labels/{img_id}.png', label)
    write(tmp_path / 'masks/a/0.png', label)
    (tmp_path / 'work/two/a').mkdir(parents=True)
    maps = np.zeros((1, 40, 60), np.float32)
    np.savez(tmp_path / 'work/two/a/4.npz', maps=maps, labels=[0])
    return tmp_path


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array.astype(np.uint8))


def make(folder, **page):
    stages = [
        {**WRITER, 'pictures': '{dir}/labels'},
        {**USER, 'pictures': {'<heat>': '{dir}', 'missing': '{dir}/no'}},
        LAST,
    ]
    page = dict(
        image_dir=str(folder / 'images'),
        mask_dir=str(folder / 'masks'),
        classes=['x', 'y'],
        **page,
    )
    rows = [
        Row('one', 'tool', 'done', 3.0, {'mIoU': 40.5, 'other': 2.0}),
        Row('two', 'tool', 'done', 3.0, {}),
        Row('three', 'tool', '-', None, {}),
    ]
    pipeline = read(folder, stages, page=page)
    write_page(pipeline, rows)
    return Page(folder / 'work/index.html')


def test_a_column_names_the_training_that_it_shows(folder):
    stages = [
        dict(name='train', run='train', config='x.py'),
        dict(
            name='one',
            run='test',
            config='x.py',
            checkpoint='{train.checkpoint}',
            pictures='{dir}/labels',
        ),
    ]
    (folder / 'x.py').write_text('')
    pipeline = read(folder, stages, page=dict(number=1))
    rows = [Row('train', 'train', 'done', 3.0, {})]
    write_page(pipeline, [*rows, Row('one', 'test', 'done', 3.0, {})])
    head = Page(folder / 'work/index.html').tables[1][0]
    assert head == ['', 'oneby train']
    write_page(pipeline, [*rows, Row('one', 'test', 'done', 3, {'mIoU': 4})])
    head = Page(folder / 'work/index.html').tables[1][0]
    assert head == ['', 'oneby train, mIoU 4']


def test_page(folder):
    page = make(folder, number=2)
    summary, pictures = page.tables
    assert [row[0] for row in summary] == [
        'stage',
        'one',
        'two',
        'three',
        'all',
    ]
    assert pictures == [
        ['', 'image', 'truth', 'onemIoU 40.50', '<heat>'],
        [
            'a/0',
            '<pictures/image/a/0.jpg>',
            '<pictures/truth/a/0.jpg>',
            '<pictures/one/a/0.jpg>',
            'not made for this image',
        ],
        [
            'a/4',
            '<pictures/image/a/4.jpg>',
            'not made for this image',
            '<pictures/one/a/4.jpg>',
            '<pictures/%3Cheat%3E/a/4.jpg>',
        ],
    ]
    assert page.links == [image['src'] for image in page.images]
    for attrs in page.images:
        picture = cv2.imread(str(folder / 'work' / unquote(attrs['src'])))
        assert picture.shape[:2] == (40, 60)
        assert (attrs['width'], attrs['height']) == ('60', '40')
        assert attrs['alt']


def test_colours_and_legend(folder):
    make(folder, number=1)
    text = (folder / 'work/index.html').read_text()
    red, green, blue = class_colors()[1]
    chip = f'<i style="background:rgb({red},{green},{blue})"></i>y</span>'
    assert text.count('<i style=') == 1
    assert chip in text
    picture = cv2.imread(str(folder / 'work/pictures/one/a/0.jpg'))[10, 30]
    expected = 0.35 * 90 + 0.65 * class_colors()[1][::-1].astype(float)
    assert np.abs(picture - expected).max() < 8


def test_given_images(folder):
    page = make(folder, images=['a/3', 'b/9'])
    rows = page.tables[1]
    assert [row[0] for row in rows] == ['', 'a/3', 'b/9']
    assert rows[2][1:] == ['not made for this image'] * 4


def test_a_broken_picture_is_named(folder):
    (folder / 'work/one/labels/a/0.png').write_bytes(b'no picture')
    cell = make(folder, number=1).tables[1][1][3]
    assert 'a/0.png' in cell


def test_a_broken_image_is_named(folder):
    for path in (folder / 'images/a').iterdir():
        path.write_bytes(b'no picture')
    row = make(folder, number=1).tables[1][1]
    assert 'cannot be decoded' in row[1]
    assert 'cannot be decoded' not in row[3]


def test_before_any_stage(folder):
    stages = [{**WRITER, 'name': 'new', 'pictures': '{dir}'}]
    pipeline = read(folder, stages)
    write_page(pipeline, [Row('new', 'tool', '-', None, {})])
    page = Page(folder / 'work/index.html')
    assert page.tables[1] == [['']]
    assert page.images == []


def test_choice_of_images(tmp_path):
    (tmp_path / 'list.txt').write_text('a/0 1\n\nb.jpg\nc\nd\ne\n')
    settings = {'list': str(tmp_path / 'list.txt'), 'number': 3}
    assert choose_images(settings, []) == ['a/0', 'c', 'e']
    settings['number'] = 9
    assert choose_images(settings, []) == ['a/0', 'b', 'c', 'd', 'e']
    assert choose_images({}, []) == []
    with pytest.raises(FileNotFoundError, match='list of images'):
        choose_images({'list': str(tmp_path / 'none.txt')}, [])


ROWS = [
    Row('net', 'train', 'kept', 3725.4, {'loss': 0.12345, 'mAP': 70.0}),
    Row('maps', 'test', 'done', 5.0, {'mAP': 71.234, 'mIoU': 40.0}),
    Row('labels', 'tool', 'done', 1.0, {'mIoU': None, 'images': 20}),
    Row('seg', 'train', 'failed', None, {}),
]


def test_table(tmp_path):
    table = write_summary(str(tmp_path), ROWS)
    assert (tmp_path / 'summary.txt').read_text() == table + '\n'
    cells = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table.splitlines()
        if line.startswith('|')
    ]
    assert cells == [
        ['stage', 'kind', 'state', 'time', 'mIoU', 'mAP'],
        ['net', 'train', 'kept', '1:02:05', '', '70.00'],
        ['maps', 'test', 'done', '0:00:05', '40.00', '71.23'],
        ['labels', 'tool', 'done', '0:00:01', '-', ''],
        ['seg', 'train', 'failed', '-', '', ''],
        ['all', '', '', '1:02:11', '', ''],
    ]
    assert table.splitlines()[-2:] == ['net: loss 0.1235', 'labels: images 20']
    assert summary_cells(ROWS)[1][-1] == 'loss 0.1235'
    content = json.loads((tmp_path / 'summary.json').read_text())
    assert content['seconds'] == 3731.4
    assert content['stages'][1]['metrics'] == {'mAP': 71.234, 'mIoU': 40.0}
    assert content['stages'][3]['seconds'] is None


def test_many_metrics_take_several_lines(tmp_path):
    metrics = {f'metric_{number}': 1.0 for number in range(20)}
    rows = [Row('erase', 'train', 'done', 1.0, metrics)]
    lines = write_summary(str(tmp_path), rows).splitlines()
    assert max(map(len, lines)) <= 79
    text = ' '.join(line.strip() for line in lines[-5:])
    assert text.endswith('metric_18 1, metric_19 1')


def test_columns():
    rows = [Row('a', 'tool', 'done', 1.0, dict.fromkeys('abcdef', 1.0))] * 2
    assert summary_cells(rows)[0][4:-1] == ['a', 'b', 'c', 'd']
    alone = rows[0]._replace(metrics={'x': 1.0, 'mIoU': 2.0})
    assert summary_cells([alone])[0][4:-1] == ['mIoU']


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (None, '-'),
        (3, '3'),
        (12.345, '12.35'),
        (0.5, '0.5'),
        (12345.6, '12346'),
    ],
)
def test_numbers(value, text):
    assert number_text(value) == text


def test_clock():
    assert clock(59.6) == '0:01:00'
    assert clock(None) == '-'


IMAGE = np.full((20, 30, 3), 100, np.uint8)
LABEL = np.zeros((20, 30), np.uint8)
LABEL[:5], LABEL[5:10] = 2, 255


def test_files_are_found_by_id(tmp_path):
    for name in (
        'a/1.png',
        'b/1.npz',
        'b/note.txt',
        'vis/test_2007_32_0.png',
        'vis/val_x_12.jpg',
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    folder = picture_column('a', '', str(tmp_path))
    assert len(folder.ids) == 4
    assert folder.find('a/1') == str(tmp_path / 'a/1.png')
    assert folder.find('b/1') == str(tmp_path / 'b/1.npz')
    # mmseg's hook adds the step, and leaves out folders.
    assert folder.find('c/2007_32') == str(tmp_path / 'vis/test_2007_32_0.png')
    assert folder.find('x') == str(tmp_path / 'vis/val_x_12.jpg')
    assert folder.find('b/note') is None
    assert picture_column('a', '', str(tmp_path / 'none')).ids == []


def test_large_pictures_are_shrunk(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.zeros((100, 4 * LONGEST, 3), np.uint8))
    assert read_picture(path).shape == (25, LONGEST, 3)


def test_label_map(tmp_path):
    path = str(tmp_path / 'a.png')
    write_label_map(path, LABEL)
    image, labels = draw_file(path, IMAGE)
    assert (image == draw_label_map(IMAGE, LABEL)).all()
    assert labels == {0, 2, 255}


def test_label_map_without_image(tmp_path):
    path = str(tmp_path / 'a.png')
    write_label_map(path, np.ones((2 * LONGEST, LONGEST), np.uint8))
    image, _ = draw_file(path, None)
    assert image.shape == (LONGEST, LONGEST // 2, 3)
    mixed = 0.35 * 235 + 0.65 * class_colors()[0].astype(float)
    assert np.abs(image - mixed).max() < 1


def test_heat_maps(tmp_path):
    path = str(tmp_path / 'a.npz')
    maps = np.linspace(0, 1, 3 * 600).reshape(3, 20, 30)
    np.savez(path, maps=maps[:1], labels=[1])
    image, _ = draw_file(path, IMAGE, ['cat', 'dog'])
    assert (image == heatmap_overlay(IMAGE, maps[0])).all()
    np.savez(path, maps=maps, labels=[1, 0, 700])
    several = draw_file(path, IMAGE, ['cat', 'dog'])[0]
    # Two columns and two rows in about the width of one.
    assert several.shape[1] == 30 // 2 * 2 + 3 * 4
    np.savez(path, maps=maps[:0], labels=np.zeros(0, int))
    assert (draw_file(path, IMAGE)[0] == IMAGE).all()


def test_regions(tmp_path):
    path = str(tmp_path / 'a.npz')
    regions = np.zeros((2, 20, 30), bool)
    regions[0, :10], regions[1, 5:15] = True, True
    write_regions(path, regions, np.array([0, 4]))
    flat = np.zeros((20, 30), np.uint8)
    flat[:5], flat[5:10], flat[10:15] = 1, 255, 5
    image, labels = draw_file(path, IMAGE)
    assert (image == draw_label_map(IMAGE, flat)).all()
    assert labels == {0, 1, 5, 255}


def test_pictures_stay_as_they_are(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.stack([LABEL] * 3, -1))
    image, labels = draw_file(path, IMAGE)
    assert (image == np.stack([LABEL] * 3, -1)).all()
    assert labels == set()


def test_unknown_arrays_name_the_file(tmp_path):
    path = str(tmp_path / 'a.npz')
    np.savez(path, heat=LABEL)
    with pytest.raises(ValueError, match='a.npz: expected the arrays maps'):
        draw_file(path, IMAGE)
    Image.fromarray(LABEL).save(tmp_path / 'b.png')
    text = (tmp_path / 'b.png').read_bytes()[:60]
    (tmp_path / 'b.png').write_bytes(text)
    with pytest.raises((OSError, ValueError)):
        draw_file(str(tmp_path / 'b.png'), IMAGE)


@pytest.mark.parametrize('fits', [False, True])
def test_an_image_is_turned_as_its_label_maps_are(tmp_path, fits):
    exif = Image.Exif()
    exif[0x112] = 6
    path = str(tmp_path / 'a.jpg')
    Image.new('RGB', (30, 20)).save(path, exif=exif)
    label_map = str(tmp_path / 'a.png')
    Image.new('P', (30, 20) if fits else (20, 30)).save(label_map)
    image = read_fitting(path, [None, path, label_map])
    assert image.shape[:2] == ((20, 30) if fits else (30, 20))
