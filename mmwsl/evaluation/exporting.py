"""Export predictions and pseudo labels to the formats of other tools.

All formats are written from one form, the dict that :func:`as_dict` makes of
an image. Its objects are its ``instances`` or, where a model predicts none,
the connected parts of each class in its label map.

Masks are exact in run lengths (COCO, Label Studio's brush) and in VOC's label
maps. Polygons are outlines, simplified: one for each connected part, with
holes cut in by a seam of no width. (H, W): height and width of an image as it
is seen, turned as its EXIF entry says.
"""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)
from urllib.parse import quote

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

from mmwsl.evaluation.export_formats import FORMATS, Entry, Object
from mmwsl.pseudo_labels.labels import IGNORE, LARGEST_CLASS
from mmwsl.utils.arrays import array
from mmwsl.utils.files import (
    check_new,
    join_inside,
    whole_folder,
    write_whole,
)
from mmwsl.utils.images import voc_color_map
from mmwsl.utils.masks import boxes_of_masks, decode_mask, encode_mask
from mmwsl.utils.tables import class_name

# Label maps have specks beside their objects. As a share of the image.
MIN_AREA = 0.0005


def as_dict(
    sample: Union[BaseDataElement, Mapping[str, Any]], classes: Sequence[str]
) -> Dict[str, Any]:
    """Turn the predictions of an image into numbers and texts.

    Args:
        sample: A predicted sample, or its fields as a dict.
        classes: Names of the classes, without background; may be empty.

    Returns:
        ``img_path``, ``height``, ``width`` and ``classes``, the names;
        ``segments``, a dict for each class in the label map: ``label``,
        ``name``, ``area`` in pixels and ``segmentation``, COCO's compressed
        run lengths; ``ignored``, those of ignored pixels if there are any.
        From models of stage 1 also ``scores`` (C), ``labels``, those
        predicted, ``names`` of these, ``counts`` (C) with LC, and
        ``instances``, a dict for each: ``label``, ``name``, ``score``,
        ``bbox`` [x1, y1, x2, y2] in pixels and ``segmentation``.
    """
    fields: Mapping[str, Any]
    fields = sample if isinstance(sample, Mapping) else sample.to_dict()
    height, width = fields['ori_shape'][:2]
    content: Dict[str, Any] = dict(
        img_path=str(fields.get('img_path') or ''),
        height=int(height),
        width=int(width),
        classes=list(classes),
    )
    if 'pred_score' in fields:
        found = fields['pred_label'].tolist()
        content.update(
            scores=fields['pred_score'].tolist(),
            labels=found,
            names=[class_name(classes, label) for label in found],
        )
    if 'pred_count' in fields:
        content['counts'] = fields['pred_count'].tolist()
    if 'pred_instances' in fields:
        instances = fields['pred_instances']
        content['instances'] = describe_instances(instances, classes)
    plane = array(fields['pred_sem_seg']['data'])
    content.update(
        describe_label_map(plane.reshape(plane.shape[-2:]), classes)
    )
    return content


def describe_instances(
    instances: Mapping[str, Any], classes: Sequence[str]
) -> List[Dict[str, Any]]:
    """Return what :func:`as_dict` says of predicted instances."""
    masks = array(instances['masks']).astype(bool)
    boxes = instances.get('bboxes')
    boxes = boxes_of_masks(masks) if boxes is None else boxes
    columns = (instances['labels'], instances['scores'], boxes)
    return [
        dict(
            label=label,
            name=class_name(classes, label),
            score=score,
            bbox=box,
            segmentation=encode_mask(mask),
        )
        for label, score, box, mask in zip(
            *(array(x).tolist() for x in columns), masks
        )
    ]


def describe_label_map(
    label_map: np.ndarray, classes: Sequence[str]
) -> Dict[str, Any]:
    """Return what :func:`as_dict` says of a label map."""
    masks = {int(x): label_map == x for x in np.unique(label_map) if x}
    # With more classes than files hold, it is one of them.
    few = len(classes) <= LARGEST_CLASS + 1
    ignored = masks.pop(IGNORE, None) if few else None
    segments = [
        dict(
            label=value - 1,
            name=class_name(classes, value - 1),
            area=int(mask.sum()),
            segmentation=encode_mask(mask),
        )
        for value, mask in masks.items()
    ]
    content: Dict[str, Any] = dict(segments=segments)
    if ignored is not None:
        content['ignored'] = encode_mask(ignored)
    return content


def find_objects(
    content: Mapping[str, Any], name: str, min_area: float = MIN_AREA
) -> List[Object]:
    """Return the objects of an image, see above.

    Args:
        content: As :func:`as_dict` returns it.
        name: What to call the image in errors.
        min_area: Objects of fewer pixels are left out, below 1 those of a
            smaller share of the image.
    """
    share = content['height'] * content['width'] if min_area < 1 else 1
    return [
        Object(
            label, score, encode_mask(mask), boxes_of_masks([mask])[0].tolist()
        )
        for label, score, mask in _masks(content, name, min_area * share)
    ]


def _masks(
    content: Mapping[str, Any], name: str, least: float
) -> Iterator[Tuple[int, Optional[float], np.ndarray]]:
    """Yield class, score and mask of each object of enough pixels."""
    least = max(least, 1)
    shape = content['height'], content['width']
    if 'instances' in content:
        for item in content['instances']:
            mask = decode_mask(item['segmentation'], name, shape)
            if mask.sum() >= least:
                yield item['label'], item.get('score'), mask
        return
    scores = dict(enumerate(content.get('scores', ())))
    for item in content.get('segments', ()):
        mask = decode_mask(item['segmentation'], name, shape)
        _, parts = cv2.connectedComponents(mask.astype(np.uint8))
        # Specks are many, and get no mask of their own.
        areas = np.bincount(parts.ravel())
        for part in np.flatnonzero(areas[1:] >= least) + 1:
            yield item['label'], scores.get(item['label']), parts == part


class LabelExport:
    """Write the labels of images as files of one format.

    The folder appears when all of it is there, at the end of the context, or
    not at all.

    Args:
        kind: One of ``FORMATS``.
        out_dir: The folder, which must be new or empty.
        classes: Names of the classes, without background.
        image_dir: The folder of the images, which names of files start in;
            by default each name is the image's id with its file's suffix.
        min_area: Of :func:`find_objects`.
        tolerance: Of :func:`find_polygons`.
        palette: Colours (C, 3) of the classes; by default VOC's.
        image_url: Put before names of images in Label Studio; by default
            that of local files, of a folder in the document root.
        model_version: Name of the predictions in Label Studio.

    Raises:
        ValueError: If there is no such format, a class is named twice, or
            the folder is that of the images or is not empty.

    Example:
        >>> with LabelExport('coco', 'labels', ['cat', 'dog']) as export:
        ...     export.add('a', as_dict(sample, ['cat', 'dog']))
    """

    def __init__(
        self,
        kind: str,
        out_dir: Union[str, Path],
        classes: Sequence[str] = (),
        image_dir: Optional[Union[str, Path]] = None,
        min_area: float = MIN_AREA,
        tolerance: float = 0.75,
        palette: Optional[Sequence[Sequence[int]]] = None,
        image_url: Optional[str] = None,
        model_version: str = 'mmwsl',
    ) -> None:
        if kind not in FORMATS:
            raise ValueError(
                f'{kind}: is no format to export; there are '
                f'{", ".join(FORMATS)}'
            )
        twice = [x for i, x in enumerate(classes) if x in classes[:i]]
        if twice:
            raise ValueError(f'{kind}: two classes have the name {twice[0]!r}')
        self.kind = kind
        self.out_dir = os.path.abspath(out_dir)
        self.classes = list(classes)
        self.image_dir = os.path.abspath(image_dir) if image_dir else None
        self.min_area = min_area
        self.tolerance = tolerance
        self.palette = list(palette or ())[: LARGEST_CLASS + 1]
        self.image_url = image_url
        self.model_version = model_version
        self.images = self.objects = 0
        self._colors = voc_color_map()
        self._paths: Dict[str, str] = {}
        self._format: Any = None
        self._stack = ExitStack()
        self._check_folder(self.image_dir)

    def __enter__(self) -> 'LabelExport':
        """Begin."""
        self.folder = self._stack.enter_context(whole_folder(self.out_dir))
        self._format = FORMATS[self.kind](self)
        return self

    def __exit__(self, *error: Any) -> None:
        """Let the folder appear, or remove all after an error."""
        if error[0] is not None:
            self._stack.__exit__(*error)
            return
        with self._stack:
            self._format.finish()
            self._check_folder(None)

    def add(self, name: str, content: Mapping[str, Any]) -> None:
        """Add an image.

        Args:
            name: Its id, a path with slashes and no suffix.
            content: As :func:`as_dict` returns it; needed are ``height``,
                ``width`` and one of ``instances``, ``segments`` and
                ``counts``.

        Raises:
            ValueError: If another image has this id, or a mask is malformed.
        """
        name = name.replace(os.sep, '/')
        path = str(content.get('img_path') or '')
        suffix = os.path.splitext(path)[1] or '.png'
        file, folder = f'{name}{suffix}', self.image_dir
        if path:
            path = os.path.abspath(path)
            posix = path.replace(os.sep, '/')
            if folder and path.startswith(os.path.join(folder, '')):
                file = os.path.relpath(path, folder).replace(os.sep, '/')
            elif posix.endswith(f'/{file}'):
                folder = path[: -len(file) - 1]
                self._check_folder(folder)
        if name in self._paths:
            raise ValueError(
                f'{path or name}: has the same image id as '
                f'{self._paths[name] or "another image"}, {name!r}'
            )
        self._paths[name] = path
        objects = find_objects(content, path or name, self.min_area)
        labels = [x.label for x in objects]
        labels += [x['label'] for x in content.get('segments', ())]
        most = max([*labels, len(content.get('counts', ())) - 1], default=-1)
        for label in range(len(self.classes), most + 1):
            self.classes.append(class_name((), label))
        if self.image_url is None:
            beside = quote(os.path.basename(folder)) if folder else 'images'
            self.image_url = f'/data/local-files/?d={beside}/'
        self.images += 1
        self.objects += len(objects)
        self._format.add(Entry(name, file, path, content, objects))

    def summary(self) -> str:
        """Return a line that says what was written."""
        return (
            f'{self.out_dir}: {self.kind}, {self.images} images, '
            f'{self.objects} objects'
        )

    def color(self, label: int) -> Tuple[int, int, int]:
        """Return the RGB colour of a class."""
        if label < len(self.palette):
            red, green, blue = self.palette[label]
            return int(red), int(green), int(blue)
        return self._colors[label % LARGEST_CLASS + 1]

    def write(self, name: str, content: str) -> None:
        """Write a file of text."""
        write_whole(join_inside(self.folder, name), content.encode())

    def place_image(self, entry: Entry, name: str) -> None:
        """Link an image, or copy it where links are not allowed."""
        if not entry.path:
            return
        if not os.path.isfile(entry.path):
            raise FileNotFoundError(f'{entry.path}: image does not exist')
        target = join_inside(self.folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.symlink(os.path.realpath(entry.path), target)
        except (OSError, NotImplementedError):
            shutil.copyfile(entry.path, target)

    def _check_folder(self, image_dir: Optional[str]) -> None:
        same = os.path.realpath(self.out_dir)
        if image_dir and os.path.realpath(image_dir) == same:
            raise ValueError(
                f'{self.out_dir}: is the folder of the images; name another '
                'one for labels'
            )
        check_new(self.out_dir)


def label_exports(
    export: Union[Mapping[str, Any], Sequence[Tuple[str, Any]], None],
    **common: Any,
) -> List[LabelExport]:
    """Make an export of each format, of which none share a folder.

    Args:
        export: Folder of each format, or a dict of arguments of
            :class:`LabelExport`, ``out_dir`` among them; or pairs of these,
            to write a format twice.
        **common: Arguments of all.
    """
    exports: List[LabelExport] = []
    pairs = export.items() if isinstance(export, Mapping) else export or ()
    for kind, value in pairs:
        own = value if isinstance(value, Mapping) else dict(out_dir=value)
        exports.append(LabelExport(kind, **{**common, **own}))
        if exports[-1].out_dir in [x.out_dir for x in exports[:-1]]:
            raise ValueError(f'{exports[-1].out_dir}: is named twice')
    return exports
