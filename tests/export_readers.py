"""Readers of exported labels, by the rules of the formats' own tools.

Each returns what an image shows as (name of the class, mask or box).
"""

import json
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import yaml
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

SCALE = 8


def fill(points, size):
    """Fill a polygon by whether the middle of a pixel is inside."""
    height, width = size
    picture = Image.new('1', (width * SCALE, height * SCALE))
    corners = [tuple(point) for point in np.asarray(points) * SCALE - 0.5]
    ImageDraw.Draw(picture).polygon(corners, fill=1, outline=0)
    return np.asarray(picture)[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


def read_coco(folder):
    coco = COCO(str(Path(folder, 'annotations.json')))
    found = {}
    for image in coco.imgs.values():
        items = coco.loadAnns(coco.getAnnIds(image['id']))
        assert all(item['iscrowd'] == 0 for item in items)
        found[image['file_name']] = [
            (
                coco.cats[item['category_id']]['name'],
                coco.annToMask(item).astype(bool),
                item,
            )
            for item in items
        ]
    return found


def read_yolo(folder):
    """Read lines as ultralytics does, which finds labels by images."""
    about = yaml.safe_load(Path(folder, 'data.yaml').read_text('utf-8'))
    names = dict(enumerate(about['names']))
    found = {}
    for path in sorted(Path(folder, about['val']).rglob('*.*')):
        before, _, after = str(path).rpartition('/images/')
        file = Path(f'{before}/labels/{after}').with_suffix('.txt')
        rows = [line.split() for line in file.read_text().splitlines()]
        polygons = any(len(row) > 6 for row in rows)
        assert not (polygons and any(len(row) == 5 for row in rows))
        objects = []
        for row in rows:
            values = np.array(row[1:], float).reshape(-1, 2)
            assert (values >= 0).all()
            assert (values <= 1).all()
            assert polygons or len(row) == 5
            objects.append((names[int(row[0])], values))
        found[after.replace('train/', '', 1)] = objects
    return found


def read_voc(folder):
    found = {}
    lists = Path(folder, 'ImageSets/Main/default.txt').read_text('utf-8')
    for name in lists.splitlines():
        root = ElementTree.parse(Path(folder, 'Annotations', f'{name}.xml'))
        objects = []
        for item in root.findall('object'):
            keys = ('xmin', 'ymin', 'xmax', 'ymax')
            box = [int(item.find('bndbox').findtext(key)) for key in keys]
            objects.append((item.findtext('name'), box))
        with Image.open(Path(folder, f'SegmentationClass/{name}.png')) as file:
            assert file.mode == 'P'
            assert file.size == tuple(
                int(root.findtext(f'size/{key}'))
                for key in ('width', 'height')
            )
            palette = np.reshape(file.getpalette(), (-1, 3))
            label_map = np.array(file)
        found[root.findtext('filename')] = (objects, label_map, palette)
    return found


def decode_brush(values, size):
    """Read run lengths as Label Studio's editor does, bit by bit."""
    bits = ''.join(f'{value:08b}' for value in values)
    place = 0

    def read(number):
        nonlocal place
        place += number
        return int(bits[place - number : place], 2)

    number = read(32)
    width = read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    out = []
    while len(out) < number:
        run = read(1)
        length = read(sizes[read(2)]) + 1
        if run:
            out += [read(width)] * length
        else:
            out += [read(width) for _ in range(length)]
    layers = np.reshape(out, (*size, 4))
    assert (layers == layers[..., :1]).all()
    assert set(out) <= {0, 255}
    return layers[..., 3] == 255


def read_label_studio(folder):
    config = ElementTree.parse(Path(folder, 'config.xml')).getroot()
    assert config.find('Image').get('value') == '$image'
    controls = {
        x.get('name'): (x.tag.lower(), [y.get('value') for y in x])
        for x in config
        if x.tag != 'Image'
    }
    found = {}
    for task in json.loads(Path(folder, 'tasks.json').read_text()):
        shapes = {}
        for prediction in task['predictions']:
            ids = [region['id'] for region in prediction['result']]
            assert len(set(ids)) == len(ids)
            version = prediction['model_version']
            objects = shapes.setdefault(version.split()[-1], [])
            for region in prediction['result']:
                kind, names = controls[region['from_name']]
                assert region['type'] == kind
                (name,) = region['value'][kind]
                assert name in names
                assert config.find('Image').get('name') == region['to_name']
                objects.append((name, region))
        found[unquote(task['data']['image'])] = shapes
    return found
