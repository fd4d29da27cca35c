"""Own data in whatever layout it comes: what is there is found out."""

import os
import random
import re
from collections import defaultdict
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset, check_choice
from mmwsl.datasets.files import (
    FileIndex,
    find_files,
    image_id,
    is_hidden,
    read_rows,
)
from mmwsl.datasets.label_lists import read_label_file
from mmwsl.datasets.voc import VOCImageLevelDataset, read_voc_xml
from mmwsl.registry import DATASETS
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.images import voc_color_map

# What each split takes, of the parts and of 'unlabelled'.
SPLITS = dict(
    train=['train'],
    val=['val'],
    all=['train', 'val'],
    unseen=['val', 'unlabelled'],
)
# Names of parts of a data set, in folders and files.
_PARTS = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing'),
}
_UNLABELLED = ('unlabelled', 'unlabeled')
_IMAGE_FOLDERS = ('images', 'imgs', 'jpegimages')
_TABLES = ('.csv', '.tsv')
_COCO = {'images', 'annotations', 'categories'}
_CHOOSE = (
    'say which with labels=PATH_IN_THE_FOLDER (annotations=... of a single '
    'training)'
)
# Fewer images than these hardly teach a class, and one in a larger share of
# the images cannot be located.
_FEW_IMAGES, _EVERYWHERE = 10, 0.9


# Configs of data sets by their part, 'train', 'val', 'test', or '' for one
# that is not divided.
Parts = Dict[str, Dict[str, Any]]


@DATASETS.register_module()
class OwnDataset(WSLDataset):
    """Image-level labels or counts of own data, in any of four layouts.

    ``data_root`` is a folder with images and one kind of labels:

    - a COCO json, or one for each part, such as ``instances_train.json``;
    - VOC XML, beside the images or in a folder of their own, with lists in
      ``ImageSets/Main`` or without;
    - a CSV or TSV file, or one for each part, as
      :class:`mmwsl.datasets.FolderDataset` reads them;
    - one folder a class, or such folders in ``train`` and ``val``.

    Data without parts is divided: within the images of each set of labels
    every fifth, in an order that depends on the image ids alone, is for
    validation. Image ids are the paths in ``data_root`` without suffix. Images
    that have no annotation, and those of a folder ``unlabelled``, belong to
    no part; :attr:`unlabelled` lists them. A part ``test`` is left alone.

    Args:
        data_root: The folder.
        split: 'train', 'val', 'all' of these, or 'unseen': those of 'val' and
            the images without labels.
        labels: File or folder of the labels, in ``data_root``, where there are
            several, or 'folders' for one folder a class whatever files lie
            beside them; by default what is there.
        val_share: Share of the images for validation, in (0, 1).
        segmentor: Whether entries are those of a segmentor, whose classes
            begin with background.
        label_maps: Folder of ``<image id>.png`` that a segmentor learns from.
        columns: Which columns of a table to read, as for ``FolderDataset``, or
            the names 'PATH,LABEL,COUNT' of its header; 'PATH' of a table with
            a column for each class. The default 'path' also stands for files
            without header.
        delimiter: What separates columns, as for ``FolderDataset``.
        **kwargs: Arguments of :class:`WSLDataset`.

    Attributes:
        kind: 'coco', 'xml', 'table' or 'folders'.
        counted: Whether the numbers of objects are known.
        unlabelled: Images without labels.

    Raises:
        FileNotFoundError: If the folder, or a file that labels name, is
            missing.
        ValueError: If there are no labels, or several kinds or files of
            them; names these.

    Example:
        >>> OwnDataset(data_root='data/fruit', split='val').classes
    """

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        labels: str = '',
        val_share: float = 0.2,
        segmentor: bool = False,
        label_maps: str = '',
        columns: Union[Mapping[str, Any], str] = 'path',
        delimiter: str = '',
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, tuple(SPLITS))
        if not 0 < val_share < 1:
            raise ValueError(f'val_share must be in (0, 1), got {val_share}')
        self.split = split
        self.labels = '' if labels == '.' else labels
        self.val_share = val_share
        self.segmentor = segmentor or bool(label_maps)
        self.label_maps = label_maps
        if isinstance(columns, str):
            names = [name.strip() for name in columns.split(',')]
            columns = dict(zip(('path', 'label', 'count'), names))
        self.table: Dict[str, Any] = dict(delimiter=delimiter)
        if columns != dict(path='path'):
            self.table['columns'] = columns
        self.kind = ''
        self.counted = False
        self.unlabelled: List[str] = []
        super().__init__(data_root=data_root, **kwargs)
        if label_maps:
            # As data sets of mmseg say it.
            self.data_prefix['seg_map_path'] = label_maps

    def load_data_list(self) -> List[DataInfo]:
        """Find the labels, read them and take the entries of the split."""
        root = str(self.data_root)
        self.kind, sources = find_source(root, self.labels, self.table)
        parts = self._read_parts(sources)
        self.counted = all(
            'gt_count' in info for infos in parts.values() for info in infos
        )
        used = {i['img_path'] for infos in parts.values() for i in infos}
        found = _find_images(root)
        for path in found:
            # What the system calls it in bytes that are no text.
            if path.encode(errors='replace').decode() != path:
                raise ValueError(
                    f'{root}: the name {path!r} is no UTF-8; rename the file'
                )
        self.unlabelled = [path for path in found if path not in used]
        if '' in parts:
            parts.update(divide(parts.pop(''), self.val_share))
        elif 'val' not in parts:
            parts.update(divide(parts.get('train', []), self.val_share))
        parts['unlabelled'] = [
            self._entry(image_id(path, root), path, [])
            for path in self.unlabelled
        ]
        entries = [
            dict(info, split=key)
            for key in SPLITS[self.split]
            for info in parts.get(key, ())
        ]
        if self.segmentor:
            self._for_segmentors(entries)
        return entries

    def summary(self) -> Dict[str, Any]:
        """Return what was found, for ``split='all'``.

        Returns:
            ``classes``; ``labels``, 'counts' or 'labels'; ``kind``; the
            numbers of images in ``train`` and ``val`` and of ``unlabelled``
            ones; for each class the ``images`` that show it and, with counts,
            ``max_counts``; and ``max_count`` of all.
        """
        self.full_init()
        infos = [self.get_data_info(i) for i in range(len(self))]
        shown = np.zeros((len(infos), len(self.classes)), dtype=np.int64)
        for row, info in zip(shown, infos):
            row[info['gt_label']] = 1
        found: Dict[str, Any] = dict(
            classes=list(self.classes),
            labels='counts' if self.counted else 'labels',
            kind=self.kind,
            train=sum(info['split'] == 'train' for info in infos),
            val=sum(info['split'] == 'val' for info in infos),
            unlabelled=len(self.unlabelled),
            images=dict(zip(self.classes, shown.sum(axis=0).tolist())),
        )
        if self.counted:
            most = np.stack([info['gt_count'] for info in infos]).max(axis=0)
            found['max_counts'] = dict(zip(self.classes, most.tolist()))
            found['max_count'] = int(most.max())
        return found

    def _read_parts(self, sources: Parts) -> Dict[str, List[DataInfo]]:
        """Read the entries of all parts with the same classes."""
        root = str(self.data_root)
        classes = list(self.classes)
        built: Dict[str, WSLDataset] = {}
        for _ in range(2):
            for part, config in sources.items():
                info: Dict[str, Any] = {}
                if classes:
                    info['metainfo'] = dict(classes=classes)
                if classes and not self.classes and self.kind == 'coco':
                    # A part need not know the classes of the others.
                    info['missing_class'] = 'ignore'
                info.update(
                    pipeline=[],
                    test_mode=self.test_mode,
                    collect_problems=self.collect_problems,
                    serialize_data=False,
                )
                with naming(root):
                    built[part] = DATASETS.build({**config, **info})
            names = {name for part in built.values() for name in part.classes}
            # Named by hand, or else in the order of the alphabet.
            classes = classes or sorted(names)
            if all([*x.classes] == classes for x in built.values()):
                break
        if 'background' in classes:
            raise ValueError(
                f'{root}: no class may be called background, which is what '
                'shows no class; give the class another name, or list images '
                'that show nothing without a label in a CSV file'
            )
        self._metainfo['classes'] = classes
        parts: Dict[str, List[DataInfo]] = {}
        for part, dataset in built.items():
            self.problems += dataset.problems
            parts[part] = []
            for info in dataset.data_list:
                info['img_id'] = image_id(info['img_path'], root)
                parts[part].append(info)
        return parts

    def _for_segmentors(self, entries: List[DataInfo]) -> None:
        """Let entries be what mmseg's transforms take."""
        names = ['background', *self.classes]
        colors: List[Any] = [*voc_color_map(len(names))]
        colors[1:] = self._metainfo.get('palette') or colors[1:]
        self._metainfo.update(classes=names, palette=colors)
        for info in entries:
            info.update(label_map=None, reduce_zero_label=False, seg_fields=[])
            if self.label_maps:
                name = f'{info["img_id"]}.png'
                info['seg_map_path'] = os.path.join(self.label_maps, name)


def find_source(
    root: str, labels: str = '', table: Optional[Dict[str, Any]] = None
) -> Tuple[str, Parts]:
    """Find the kind of own data's labels, and the data sets of its parts.

    Args:
        root: The folder.
        labels: File or folder of the labels in it, or 'folders'.
        table: Arguments of ``FolderDataset`` that say how to read tables.
    """
    if not os.path.isdir(root):
        raise FileNotFoundError(
            f'{root}: folder does not exist; say where the images are with '
            '--cfg-options data_root=DIR'
        )
    place = os.path.join(root, labels) if labels else root
    if labels == 'folders' and not os.path.exists(place):
        return 'folders', _folder_parts(root)
    if not os.path.exists(place):
        raise FileNotFoundError(f'{place}: there are no such labels')
    if os.path.isfile(place):
        files = [place]
    else:
        files = find_files(place, ('.json', '.xml', *_TABLES), silent=True)
    kinds: Dict[str, List[str]] = defaultdict(list)
    for path in files:
        kinds[_kind(path)].append(path)
    kinds.pop('', None)
    if len(kinds) > 1:
        named = ', '.join(sorted(paths[0] for paths in kinds.values()))
        raise ValueError(
            f'{root}: holds several kinds of labels ({named}); {_CHOOSE}, or '
            'labels=folders for one folder a class'
        )
    if not kinds:
        _check_classes(place)
        return 'folders', _folder_parts(place)
    ((kind, paths),) = kinds.items()
    if kind == 'xml':
        return kind, _xml_parts(root, place, paths)
    return kind, _file_parts(root, kind, paths, table or {})


def divide(
    entries: Sequence[DataInfo], share: float
) -> Dict[str, List[DataInfo]]:
    """Divide entries into 'train' and 'val'.

    Args:
        entries: Of a whole data set.
        share: Of 'val', in (0, 1), also of the images of each set of labels,
            as far as whole numbers allow. At least one is in either.
    """
    order = sorted(entries, key=lambda info: str(info['img_id']))
    random.Random(0).shuffle(order)
    # A stable sort: random within the images of the same labels.
    order.sort(key=lambda info: info['gt_label'].tolist())
    parts: Dict[str, List[DataInfo]] = {'train': [], 'val': []}
    for number, info in enumerate(order):
        # The middle one of each run of 1 / share images.
        before, after = (int(n * share + 0.5) for n in (number, number + 1))
        parts['val' if after > before else 'train'].append(info)
    for key, other in (('train', 'val'), ('val', 'train')):
        if not parts[key] and len(parts[other]) > 1:
            parts[key].append(parts[other].pop())
    for infos in parts.values():
        infos.sort(key=lambda info: str(info['img_id']))
    return parts


def class_warnings(
    images: Mapping[str, int], total: int, most: int = 25
) -> Iterator[str]:
    """Yield which classes can hardly be learned or located.

    Args:
        images: How many images show each class.
        total: Of all images.
        most: Classes to name of each kind; more are counted.
    """
    kinds: Dict[str, List[str]] = {'none': [], 'few': [], 'all': []}
    for name, number in images.items():
        if number > _EVERYWHERE * total:
            kinds['all'].append(
                f'{name} is in {100 * number / total:.0f} % of the images and '
                'cannot be located: nothing tells it from the background'
            )
        elif not number:
            kinds['none'].append(f'{name} is in no image')
        elif number < _FEW_IMAGES:
            kinds['few'].append(
                f'{name} is in {number} images, {_FEW_IMAGES} or more are '
                'better'
            )
    for lines in kinds.values():
        yield from lines[:most]
        if len(lines) > most:
            yield f'and so are {len(lines) - most} more classes'


def part_of(words: Iterable[str]) -> str:
    """Return the part of a data set that a name tells, or ''."""
    for part, names in _PARTS.items():
        if any(word.lower() in names for word in words):
            return part
    return ''


def _kind(path: str) -> str:
    """Return the kind of a file of labels, '' for another file."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix in _TABLES:
        return 'table'
    if suffix == '.xml':
        return 'xml'
    content = read_json(path, 'json file')
    coco = isinstance(content, dict) and set(content) >= _COCO
    return 'coco' if coco else ''


def _folders(path: str) -> List[str]:
    return sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir() and not is_hidden(entry.name)
    )


def _file_parts(
    root: str, kind: str, paths: List[str], table: Dict[str, Any]
) -> Parts:
    """Give each file a part by its name."""
    parts: Parts = {}
    for path in paths:
        *folders, name = os.path.relpath(path, root).split(os.sep)
        part = part_of(re.split('[-_.0-9]', name)) or part_of(folders)
        if len(paths) > 1 and (not part or part in parts):
            raise ValueError(
                f'{root}: holds several files of labels '
                f'({", ".join(map(os.path.basename, paths))}), whose names do '
                f'not say which is train and which val; {_CHOOSE}'
            )
        part = part if len(paths) > 1 else ''
        coco = kind == 'coco'
        parts[part] = dict(
            type=f'mmwsl.{"COCOImageLevel" if coco else "Folder"}Dataset',
            ann_file=os.path.abspath(path),
            data_prefix=dict(img_path=_image_folder(root, kind, path, table)),
            **({} if coco else table),
        )
    return parts


def _image_folder(
    root: str, kind: str, path: str, table: Dict[str, Any]
) -> str:
    """Return the folder in which the first image of a file of labels lies."""
    name: Any = ''
    if kind == 'coco':
        images = read_json(path)['images']
        first = images[0] if isinstance(images, list) and images else None
        name = first.get('file_name') if isinstance(first, dict) else ''
    else:
        lines = read_label_file(path, 'list of images', **table).lines
        name = lines[0][1][0] if lines else ''
    files = FileIndex()
    folders = [root, os.path.dirname(path)]
    folders += sorted(x.path for x in os.scandir(root) if x.is_dir())
    for folder in folders if name and isinstance(name, str) else ():
        if files.find_image(os.path.join(folder, name)):
            return os.path.abspath(folder)
    return os.path.abspath(root)


def _check_classes(root: str) -> None:
    """Refuse folders that hold the images of other layouts, not a class."""
    for folder in (root, *(os.path.join(root, x) for x in _folders(root))):
        for name in _folders(folder):
            if name.lower() in _IMAGE_FOLDERS:
                raise ValueError(
                    f'{folder}: {name} is hardly a class; export labels of '
                    'YOLO, or masks, as a COCO json, or say labels=PATH if a '
                    'folder PATH holds one folder a class, labels=folders if '
                    'all is right as it is'
                )


def _folder_parts(root: str) -> Parts:
    """Find folders of classes, perhaps within folders of parts."""
    config = dict(type='mmwsl.FolderDataset', left_out=_UNLABELLED)
    folders = _folders(root)
    divided = {part_of([name]): name for name in folders}
    divided.pop('', None)
    inner = divided.get('train')
    if inner and _folders(os.path.join(root, inner)):
        others = [
            name
            for name in folders
            if name not in divided.values()
            and name.lower() not in _UNLABELLED
            and find_files(os.path.join(root, name), silent=True)
        ]
        if others and len(divided) == 1:
            raise ValueError(
                f'{root}: {inner} may be a class beside {others[0]}, or hold '
                f'the classes; say labels={inner} if it does, or else give '
                'the class another name'
            )
        return {
            part: dict(config, data_prefix=dict(img_path=path))
            for part, path in (
                (part, os.path.join(root, name))
                for part, name in divided.items()
            )
            if _folders(path)
        }
    if not [name for name in folders if name.lower() not in _UNLABELLED]:
        raise ValueError(
            f'{root}: holds no labels: neither a COCO json, VOC XML, a CSV '
            'file nor one folder of images for each class'
        )
    return {'': dict(config, data_prefix=dict(img_path=root))}


def _find_images(root: str) -> List[str]:
    """Find images, and not the masks of VOC's layout, named like them."""
    found = find_files(root, silent=True)
    folder = os.path.join(root, 'JPEGImages', '')
    names = {image_id(x, folder) for x in found if x.startswith(folder)}
    return [
        path
        for path in found
        if path.startswith(folder)
        or _is_unlabelled(path, root)
        or image_id(path, root).rpartition('/')[2] not in names
    ]


def _is_unlabelled(path: str, root: str) -> bool:
    """Whether an image lies in the folder of those without labels."""
    top, inside, _ = image_id(path, root).partition('/')
    return bool(inside) and top.lower() in _UNLABELLED


def _xml_parts(root: str, place: str, paths: List[str]) -> Parts:
    """Find the images of XML files, and lists of parts."""
    images: Dict[str, List[str]] = defaultdict(list)
    for path in _find_images(root):
        if not _is_unlabelled(path, root):
            images[image_id(path, root).rpartition('/')[2]].append(path)
    pairs: Dict[str, str] = {}
    names = set()
    first_pixel = 1
    for path in paths:
        folder, name = os.path.split(os.path.splitext(path)[0])
        found = images.get(name, [])
        beside = [image for image in found if os.path.dirname(image) == folder]
        if len(beside or found) != 1:
            what = 'no image' if not found else f'{len(found)} images'
            raise FileNotFoundError(f'{path}: {what} of this name in {root}')
        pairs[(beside or found)[0]] = path
        for item in read_voc_xml(path, 0).objects:
            names.add(item.name)
            # Programs that count from 0 write 0 sooner or later.
            if item.box is not None and min(item.box[:2]) == 0:
                first_pixel = 0
    config = dict(
        type=XMLDataset,
        pairs=pairs,
        first_pixel=first_pixel,
        metainfo=dict(classes=sorted(names)),
    )
    listed = _listed_parts(os.path.join(root, 'ImageSets', 'Main'), pairs)
    if listed:
        return {key: dict(config, pairs=part) for key, part in listed.items()}
    by_folder: Dict[str, Dict[str, str]] = defaultdict(dict)
    for image, path in pairs.items():
        folders = os.path.relpath(image, root).split(os.sep)[:-1]
        by_folder[part_of(folders)][image] = path
    if 'train' in by_folder and len(by_folder) > 1 and '' not in by_folder:
        return {k: dict(config, pairs=part) for k, part in by_folder.items()}
    return {'': config}


def _listed_parts(
    folder: str, pairs: Dict[str, str]
) -> Dict[str, Dict[str, str]]:
    """Read the lists of parts in VOC's layout."""
    parts: Dict[str, Dict[str, str]] = {}
    of_name = {
        os.path.splitext(os.path.basename(image))[0]: (image, path)
        for image, path in pairs.items()
    }
    for part in ('train', 'val'):
        path = os.path.join(folder, f'{part}.txt')
        if not os.path.isfile(path):
            return {}
        rows = read_rows(path, 'list of images')
        for place, name in rows:
            if name not in of_name:
                raise FileNotFoundError(
                    f'{place}: {name} has no image or no XML'
                )
        parts[part] = dict(of_name[name] for _, name in rows)
    return parts


class XMLDataset(VOCImageLevelDataset):
    """VOC's XML files wherever they lie.

    Args:
        pairs: The annotation of each image, by its path.
        **kwargs: Arguments of :class:`VOCImageLevelDataset`.
    """

    METAINFO: Dict[str, Any] = {}

    def __init__(self, pairs: Dict[str, str], **kwargs: Any) -> None:
        self.pairs = dict(pairs)
        super().__init__(ann_file='', allow_empty=True, **kwargs)

    def _mask_paths(self, img_id: str) -> Dict[str, str]:
        return {}

    def load_data_list(self) -> List[DataInfo]:
        """Read the annotations."""
        label_of = self._label_of()
        entries = []
        for image, path in self.pairs.items():
            with self._noting():
                entries.append(self._xml_entry(image, path, label_of))
        return entries
