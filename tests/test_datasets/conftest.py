"""Small data sets written by hand."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image


def _write_image(path, height=12, width=16, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    img = np.full((height, width, 3), value, dtype=np.uint8)
    assert cv2.imwrite(str(path), img)
    return path


def _write_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(mask, dtype=np.uint8)).convert('P')
    picture.putpalette([value % 256 for value in range(90, 90 + 768)])
    picture.save(path)
    return path


def _voc_xml(objects, size=(12, 16)):
    """Objects are (name, difficult, (xmin, ymin, xmax, ymax))."""
    nodes = ''.join(
        f'<object><name>{name}</name><difficult>{difficult}</difficult>'
        f'<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>'
        f'<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>'
        for name, difficult, box in objects
    )
    return (
        f'<annotation><size><width>{size[1]}</width><height>{size[0]}'
        f'</height><depth>3</depth></size>{nodes}</annotation>'
    )


class _VOCFolder:
    """A data set in VOC layout that a test fills."""

    def __init__(self, root):
        self.root = root
        for name in ('Annotations', 'ImageSets/Main'):
            (root / name).mkdir(parents=True)
        self.names = []

    def add(self, name, objects, suffix='.jpg', **image):
        _write_image(self.root / 'JPEGImages' / f'{name}{suffix}', **image)
        xml = self.root / 'Annotations' / f'{name}.xml'
        xml.write_text(_voc_xml(objects))
        self.names.append(name)
        self.write_list(self.names)
        return self

    def write_list(self, lines, end='\n'):
        path = self.root / 'ImageSets' / 'Main' / 'train.txt'
        path.write_text('\n'.join(lines) + end)
        return path


_BOX = (3, 2, 10, 9)


@pytest.fixture
def voc(tmp_path):
    """Four images: two cats and a dog, a hard dog, a person, a hard cat."""
    folder = _VOCFolder(tmp_path / 'voc')
    folder.add('a', [('cat', 0, _BOX), ('cat', 0, _BOX), ('dog', 0, _BOX)])
    folder.add('b', [('dog', 1, _BOX), ('person', 0, _BOX)], suffix='.png')
    folder.add('c', [('person', 0, _BOX)])
    folder.add('d', [('cat', 0, _BOX), ('cat', 1, _BOX)])
    return folder


@pytest.fixture
def empty_voc(tmp_path):
    return _VOCFolder(tmp_path / 'voc')


_OBJECTS = [
    # Image, class, box and mask; the third one is a crowd.
    (7, 18, [2, 3, 4, 5], [[2, 3, 6, 3, 6, 8, 2, 8]]),
    (7, 18, [0, 0, 2, 2], [[0, 0, 2, 0, 2, 2, 0, 2]]),
    (3, 2, [0, 0, 1, 12], dict(size=[12, 16], counts=[0, 12, 180])),
    (3, 18, [8, 0, 8, 12], [[8, 0, 16, 0, 16, 12, 8, 12]]),
]
_COCO = dict(
    images=[
        dict(id=number, file_name=f'x/{name}.jpg', height=12, width=16)
        for name, number in (('1', 7), ('2', 3), ('3', 9))
    ],
    # Ids with gaps and out of order, as COCO's are.
    categories=[dict(id=18, name='dog'), dict(id=2, name='bicycle')],
    annotations=[
        dict(
            id=number,
            image_id=image,
            category_id=category,
            iscrowd=int(isinstance(mask, dict)),
            bbox=box,
            segmentation=mask,
        )
        for number, (image, category, box, mask) in enumerate(_OBJECTS, 1)
    ],
)


@pytest.fixture
def coco(tmp_path):
    """Return root and content; call ``write`` after a change."""
    root = tmp_path / 'coco'
    for name in ('1', '2', '3'):
        _write_image(root / 'images' / 'x' / f'{name}.jpg')
    content = json.loads(json.dumps(_COCO))

    class Folder:
        def __init__(self):
            self.root, self.content = root, content

        def write(self):
            (root / 'ann.json').write_text(json.dumps(content))
            return dict(
                data_root=str(root),
                ann_file='ann.json',
                data_prefix=dict(img_path='images'),
            )

    return Folder()


@pytest.fixture(scope='session')
def write_image():
    """Write a plain picture: (path, height, width, value) -> path."""
    return _write_image


@pytest.fixture(scope='session')
def write_mask():
    """Write an indexed picture with odd colours: (path, mask) -> path."""
    return _write_mask
