"""The page holds what it says: parsed as a browser would."""

from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from mmwsl.pipeline.page import Row, choose_images, write_page
from mmwsl.visualization import class_colors
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
