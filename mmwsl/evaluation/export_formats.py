"""The formats of other tools that labels are exported to.

A format is begun, is handed one image after the other, and is finished. (H,
W): height and width of an image.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)
from urllib.parse import quote
from xml.dom import minidom
from xml.etree import ElementTree

import numpy as np

from mmwsl.pseudo_labels.labels import IGNORE, LARGEST_CLASS, write_label_map
from mmwsl.utils.files import join_inside
from mmwsl.utils.masks import (
    decode_mask,
    encode_brush,
    find_polygons,
    join_polygons,
)
from mmwsl.utils.tables import csv_text

if TYPE_CHECKING:
    from mmwsl.evaluation.exporting import LabelExport

# What Label Studio draws; each becomes a prediction of its own.
SHAPES = ('rectangle', 'polygon', 'brush')


class Object(NamedTuple):
    """An object of an image.

    Attributes:
        label: Index of its class.
        score: None if it is not known.
        segmentation: Its mask as COCO's run lengths; an image may have
            thousands of objects.
        box: x1, y1, x2, y2 in pixels.
    """

    label: int
    score: Optional[float]
    segmentation: Dict[str, Any]
    box: List[float]

    @property
    def mask(self) -> np.ndarray:
        """Return the mask, bool (H, W)."""
        return decode_mask(self.segmentation, 'object')


class Entry(NamedTuple):
    """An image as formats see it.

    Attributes:
        name: Its id, a path with slashes and no suffix.
        file: Its path in the folder of images.
        path: Where it lies; empty if it is no file.
        content: As :func:`as_dict` returns it.
        objects: What it shows.
    """

    name: str
    file: str
    path: str
    content: Mapping[str, Any]
    objects: List[Object]

    @property
    def size(self) -> Tuple[int, int]:
        """Return H and W."""
        return self.content['height'], self.content['width']


class _Coco:
    """``annotations.json``, a data set of instances; ids count from 1."""

    def __init__(self, export: LabelExport, polygons: bool = False) -> None:
        self.export = export
        self.polygons = polygons
        self.images: List[Dict[str, Any]] = []
        self.annotations: List[Dict[str, Any]] = []

    def add(self, entry: Entry) -> None:
        height, width = entry.size
        number = len(self.images) + 1
        self.images.append(
            dict(id=number, file_name=entry.file, height=height, width=width)
        )
        for item in entry.objects:
            left, top, right, bottom = item.box
            mask = item.mask
            segmentation: Any = item.segmentation
            if self.polygons:
                parts = find_polygons(mask, self.export.tolerance)
                segmentation = [x.round(2).ravel().tolist() for x in parts]
            annotation = dict(
                id=len(self.annotations) + 1,
                image_id=number,
                category_id=item.label + 1,
                bbox=[left, top, right - left, bottom - top],
                area=int(mask.sum()),
                segmentation=segmentation,
                iscrowd=0,
            )
            if item.score is not None:
                annotation['score'] = item.score
            self.annotations.append(annotation)

    def finish(self) -> None:
        categories = [
            dict(id=i, name=name, supercategory='')
            for i, name in enumerate(self.export.classes, 1)
        ]
        content = dict(
            info=dict(description='exported by mmwsl'),
            licenses=[],
            images=self.images,
            annotations=self.annotations,
            categories=categories,
        )
        self.export.write('annotations.json', json.dumps(content))


class _Yolo:
    """Ultralytics' folders: a file of lines for each image, ``data.yaml``."""

    def __init__(self, export: LabelExport, polygons: bool) -> None:
        self.export = export
        self.polygons = polygons
        os.makedirs(os.path.join(export.folder, 'images', 'train'))
        os.makedirs(os.path.join(export.folder, 'labels', 'train'))

    def add(self, entry: Entry) -> None:
        # The last folder of this name is where labels are looked for.
        parts = entry.name.split('/')
        name = '/'.join('images_' if x == 'images' else x for x in parts)
        suffix = os.path.splitext(entry.file)[1]
        self.export.place_image(entry, f'images/train/{name}{suffix}')
        height, width = entry.size
        lines = []
        for item in entry.objects:
            left, top, right, bottom = item.box
            points = np.array(
                [
                    [(left + right) / 2, (top + bottom) / 2],
                    [right - left, bottom - top],
                ]
            )
            if self.polygons:
                # A line is an object and holds one polygon.
                points = join_polygons(
                    find_polygons(item.mask, self.export.tolerance)
                )
            values = (points / [width, height]).ravel().tolist()
            numbers = ' '.join(f'{x:.6f}' for x in values)
            lines.append(f'{item.label} {numbers}\n')
        self.export.write(f'labels/train/{name}.txt', ''.join(lines))

    def finish(self) -> None:
        # JSON is YAML; ultralytics wants both parts.
        names = json.dumps(self.export.classes, ensure_ascii=False)
        self.export.write(
            'data.yaml',
            f'train: images/train\nval: images/train\nnames: {names}\n',
        )


class _Voc:
    """VOC's folders: XML with boxes, and label maps with a palette."""

    def __init__(self, export: LabelExport) -> None:
        self.export = export
        self.names: List[str] = []

    def add(self, entry: Entry) -> None:
        export = self.export
        height, width = entry.size
        file = f'{entry.name}{os.path.splitext(entry.file)[1]}'
        export.place_image(entry, f'JPEGImages/{file}')
        root = ElementTree.Element('annotation')
        size = dict(width=width, height=height, depth=3)
        segmented = int('segments' in entry.content)
        _add_elements(
            root, folder='', filename=file, size=size, segmented=segmented
        )
        for item in entry.objects:
            left, top, right, bottom = map(int, item.box)
            # Counted from 1, the last pixel included.
            box = dict(xmin=left + 1, ymin=top + 1, xmax=right, ymax=bottom)
            about: Dict[str, Any] = dict(
                name=export.classes[item.label],
                pose='Unspecified',
                truncated=0,
                difficult=0,
                occluded=0,
                bndbox=box,
            )
            if item.score is not None:
                about['score'] = round(item.score, 6)
            _add_elements(root, object=about)
        export.write(f'Annotations/{entry.name}.xml', _pretty(root))
        path = join_inside(
            export.folder, f'SegmentationClass/{entry.name}', '.png'
        )
        write_label_map(path, _label_map(entry), export.palette)
        self.names.append(entry.name)

    def finish(self) -> None:
        names = ''.join(f'{name}\n' for name in self.names)
        for folder in ('Main', 'Segmentation'):
            self.export.write(f'ImageSets/{folder}/default.txt', names)
        # CVAT's list of classes, which must not be VOC's otherwise.
        colors = {'background': (0, 0, 0)}
        for label, name in enumerate(self.export.classes):
            colors[name] = self.export.color(label)
        lines = ['# label:color_rgb:parts:actions\n']
        for name, color in colors.items():
            rgb = ','.join(map(str, color))
            lines.append(f'{name}:{rgb}::\n')
        self.export.write('labelmap.txt', ''.join(lines))


def _label_map(entry: Entry) -> np.ndarray:
    """Return the label map of an image; of its objects if it has none."""
    content, place = entry.content, entry.path or entry.name
    plane = np.zeros(entry.size, np.uint8)
    masks = [
        (x['label'], decode_mask(x['segmentation'], place, entry.size))
        for x in content.get('segments', ())
    ]
    if 'segments' not in content:
        # The best lie on top.
        ranked = sorted(entry.objects, key=lambda x: x.score or 0)
        masks = [(item.label, item.mask) for item in ranked]
    for label, mask in masks:
        if label > LARGEST_CLASS:
            raise ValueError(
                f'{place}: label maps hold {LARGEST_CLASS + 1} classes at '
                'most; export coco instead'
            )
        plane[mask] = label + 1
    if 'ignored' in content:
        ignored = decode_mask(content['ignored'], place, entry.size)
        plane[ignored] = IGNORE
    return plane


class _LabelStudio:
    """``tasks.json`` with predictions, and the labelling ``config.xml``."""

    def __init__(self, export: LabelExport) -> None:
        self.export = export
        self.tasks: List[Dict[str, Any]] = []

    def add(self, entry: Entry) -> None:
        scores = [x.score for x in entry.objects if x.score is not None]
        predictions = []
        for shape in SHAPES:
            version = f'{self.export.model_version} {shape}'
            prediction: Dict[str, Any] = dict(model_version=version, result=[])
            if scores:
                prediction['score'] = float(np.mean(scores))
            for item in entry.objects:
                for value in self._values(shape, item, entry.size):
                    prediction['result'].append(
                        self._region(shape, item, value, entry.size)
                    )
            for number, region in enumerate(prediction['result']):
                region['id'] = f'{shape}{number}'
            predictions.append(prediction)
        image = f'{self.export.image_url}{quote(entry.file)}'
        self.tasks.append(
            dict(data=dict(image=image), predictions=predictions)
        )

    def _region(
        self,
        shape: str,
        item: Object,
        value: Dict[str, Any],
        size: Tuple[int, int],
    ) -> Dict[str, Any]:
        kind = f'{shape}labels'
        region: Dict[str, Any] = dict(
            type=kind,
            from_name=shape,
            to_name='image',
            original_width=size[1],
            original_height=size[0],
            image_rotation=0,
            value={**value, kind: [self.export.classes[item.label]]},
        )
        if item.score is not None:
            region['score'] = item.score
        return region

    def _values(
        self, shape: str, item: Object, size: Tuple[int, int]
    ) -> List[Dict[str, Any]]:
        """Return a shape's values; places are in percent."""
        if shape == 'brush':
            return [dict(format='rle', rle=encode_brush(item.mask))]
        scale = 100 / np.array(size[::-1])
        if shape == 'polygon':
            parts = find_polygons(item.mask, self.export.tolerance)
            return [dict(points=(x * scale).tolist()) for x in parts]
        corners = np.reshape(item.box, (2, 2)) * scale
        (x, y), (width, height) = corners[0], corners[1] - corners[0]
        box = dict(x=x, y=y, width=width, height=height)
        return [dict(rotation=0, **{k: float(v) for k, v in box.items()})]

    def finish(self) -> None:
        view = ElementTree.Element('View')
        ElementTree.SubElement(view, 'Image', name='image', value='$image')
        for shape in SHAPES:
            labels = ElementTree.SubElement(
                view,
                f'{shape.capitalize()}Labels',
                name=shape,
                toName='image',
            )
            for label, name in enumerate(self.export.classes):
                color = '#{:02x}{:02x}{:02x}'.format(*self.export.color(label))
                ElementTree.SubElement(
                    labels, 'Label', value=name, background=color
                )
        self.export.write('config.xml', _pretty(view))
        self.export.write('tasks.json', json.dumps(self.tasks))


class _Counts:
    """``counts.csv``: a line for each image, a column for each class."""

    def __init__(self, export: LabelExport) -> None:
        self.export = export
        self.rows: List[Sequence[Any]] = []

    def add(self, entry: Entry) -> None:
        counts = entry.content.get('counts')
        if counts is None:
            found = [item.label for item in entry.objects]
            counts = np.bincount(found, minlength=len(self.export.classes))
        numbers = [int(x) if x == int(x) else x for x in counts]
        self.rows.append((entry.file, *numbers))

    def finish(self) -> None:
        names = ('image', *self.export.classes)
        # Classes without names may have come later.
        rows = [(*x, *[0] * (len(names) - len(x))) for x in self.rows]
        # Counts may be more than the objects that were found.
        self.export.objects = round(sum(sum(row[1:]) for row in self.rows))
        self.export.write('counts.csv', csv_text([names, *rows]))


def _add_elements(parent: ElementTree.Element, **items: Any) -> None:
    """Add elements, dicts as elements of elements."""
    for key, value in items.items():
        child = ElementTree.SubElement(parent, key)
        if isinstance(value, Mapping):
            _add_elements(child, **value)
        else:
            child.text = str(value)


def _pretty(root: ElementTree.Element) -> str:
    """Return XML in lines."""
    text = ElementTree.tostring(root, encoding='unicode')
    lines = minidom.parseString(text).toprettyxml('  ').splitlines(True)
    # Without the declaration.
    return ''.join(lines[1:])


FORMATS: Dict[str, Any] = {
    'coco': _Coco,
    'coco-polygon': partial(_Coco, polygons=True),
    'yolo-detect': partial(_Yolo, polygons=False),
    'yolo-segment': partial(_Yolo, polygons=True),
    'voc': _Voc,
    'label-studio': _LabelStudio,
    'counts': _Counts,
}
