"""What is told of all stages: one table and one page with pictures.

Shape shorthand: (H, W) a picture.
"""

import json
import os
import re
import textwrap
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)
from urllib.parse import quote

import jinja2
import numpy as np

from mmwsl.datasets.files import FileIndex, find_files, image_id
from mmwsl.evaluation.files import read_class_names, read_ids, read_maps
from mmwsl.pipeline.stages import Pipeline, fill_in
from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.utils.arrays import resize, spread
from mmwsl.utils.files import join_inside, write_whole
from mmwsl.utils.images import (
    IMG_SUFFIXES,
    image_size,
    open_picture,
    read_image,
    read_index_mask,
)
from mmwsl.utils.tables import class_name, format_table
from mmwsl.visualization.drawing import (
    Tile,
    class_colors,
    display_size,
    draw_label_map,
    heatmap_overlay,
    letterbox,
    note_left_out,
    panel,
    write_image,
)

LONGEST = 360
_TEMPLATE = Path(__file__).with_name('page.html.j2')
_CHECKPOINT = re.compile(r'\{(.+)\.checkpoint\}')
_GREY = 235


class Row(NamedTuple):
    """What is told of a stage."""

    name: str
    kind: str
    # 'done', 'kept' from an earlier call, 'failed', 'stopped' by hand, or '-'.
    state: str
    seconds: Optional[float]  # None where it is not finished
    metrics: Dict[str, Optional[float]]  # None for undefined ones


def clock(seconds: Optional[float]) -> str:
    """Write a time as h:mm:ss; '-' for None."""
    if seconds is None:
        return '-'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'


def number_text(value: Optional[float]) -> str:
    """Write a metric with four digits, or '-' for None."""
    if value is None:
        return '-'
    if isinstance(value, int) or abs(value) >= 1000:
        return f'{value:.0f}'
    return f'{value:.2f}' if abs(value) >= 10 else f'{value:.4g}'


def metrics_text(metrics: Dict[str, Optional[float]]) -> str:
    """Write metrics in one line."""
    return ', '.join(f'{k} {number_text(v)}' for k, v in metrics.items())


def summary_cells(rows: Sequence[Row]) -> List[List[str]]:
    """Header and lines of the table; four shared metrics have columns."""
    counts = Counter(key for row in rows for key in row.metrics)
    shared = [key for key in counts if counts[key] > 1 or key == 'mIoU']
    shared.sort(key=lambda key: (key != 'mIoU', -counts[key]))
    del shared[4:]
    lines = [['stage', 'kind', 'state', 'time', *shared, 'other metrics']]
    for row in rows:
        own = [
            number_text(row.metrics[key]) if key in row.metrics else ''
            for key in shared
        ]
        rest = {k: v for k, v in row.metrics.items() if k not in shared}
        begin = [row.name, row.kind, row.state, clock(row.seconds)]
        lines.append([*begin, *own, metrics_text(rest)])
    total = clock(sum(row.seconds or 0 for row in rows))
    return [*lines, ['all', '', '', total, *[''] * len(shared), '']]


def write_summary(folder: str, rows: Sequence[Row]) -> str:
    """Write summary.json and summary.txt, and return the latter's text."""
    cells = summary_cells(rows)
    table = format_table(cells[0][:-1], [line[:-1] for line in cells[1:]])
    # Some stages have more metrics than a line can hold.
    for line in cells[1:]:
        if line[-1]:
            text = f'{line[0]}: {line[-1]}'
            table += '\n' + textwrap.fill(text, 79, subsequent_indent='    ')
    seconds = round(sum(row.seconds or 0 for row in rows), 1)
    stages = [row._asdict() for row in rows]
    text = json.dumps(dict(seconds=seconds, stages=stages), indent=1)
    write_whole(os.path.join(folder, 'summary.json'), f'{text}\n'.encode())
    write_whole(os.path.join(folder, 'summary.txt'), f'{table}\n'.encode())
    return table


class Column(NamedTuple):
    """A column of pictures."""

    title: str
    note: str  # below the title
    find: Callable[[str], Optional[str]]  # the file of an image, or None
    ids: Sequence[str] = ()  # of the images that it has


def picture_column(title: str, note: str, folder: str) -> Column:
    """Find the files of a stage's pictures by the ids of images.

    Names may also be what mmseg's hook makes of the last part of an id.
    """
    files: Dict[str, str] = {}
    names: Dict[str, str] = {}
    if os.path.isdir(folder):
        kinds = (*IMG_SUFFIXES, '.npz')
        for path in find_files(folder, kinds, silent=True):
            img_id = image_id(path, folder)
            files[img_id] = path
            plain = re.sub(r'^(val|test)_|_\d+$', '', img_id.split('/')[-1])
            names.setdefault(plain, path)

    def find(img_id: str) -> Optional[str]:
        return files.get(img_id) or names.get(img_id.split('/')[-1])

    return Column(title, note, find, list(files))


def write_page(pipeline: Pipeline, rows: Sequence[Row]) -> None:
    """Write index.html and its pictures into the folder of all stages.

    A file that cannot be drawn is named in its place.
    """
    settings = fill_in(pipeline, pipeline.page, strict=False)
    made = list(_stage_columns(pipeline, rows))
    columns = [*_source_columns(settings), *made]
    classes = settings.get('classes', 'voc')
    if isinstance(classes, str):
        classes = read_class_names(classes)
    shown: Set[int] = set()
    body = []
    for img_id in choose_images(settings, made):
        cells = _cells(pipeline, img_id, columns, classes, shown)
        body.append((img_id, list(cells)))
    names = [class_name(classes, x) for x in range(max(len(classes), 255))]
    environment = jinja2.Environment(autoescape=True)
    content = environment.from_string(_TEMPLATE.read_text('utf-8')).render(
        title=os.path.splitext(os.path.basename(pipeline.path))[0],
        summary=summary_cells(rows),
        legend=[
            (names[label - 1], class_colors()[label - 1].tolist())
            for label in sorted(shown - {0, 255})
        ],
        columns=columns,
        rows=body,
    )
    path = os.path.join(pipeline.work_dir, 'index.html')
    write_whole(path, content.encode())


def choose_images(
    settings: Dict[str, Any], columns: Sequence[Column]
) -> List[str]:
    """The images to show: the given ones, or some at equal distances."""
    if settings.get('images'):
        return [str(img_id) for img_id in settings['images']]
    if settings.get('list'):
        ids = read_ids(
            settings['list'], lambda x: any(c.find(x) for c in columns)
        )
    else:
        ids = list(columns[0].ids) if columns else []
    places = spread(len(ids), int(settings.get('number', 6)))
    return [ids[place] for place in places]


def _source_columns(settings: Dict[str, Any]) -> Iterator[Column]:
    """The columns of images and of masks, as far as their folders exist."""

    def image(img_id: str) -> Optional[str]:
        stem = join_inside(settings['image_dir'], img_id, links=True)
        return FileIndex().find_image(stem)

    def mask(img_id: str) -> Optional[str]:
        path = join_inside(settings['mask_dir'], img_id, '.png', links=True)
        return path if os.path.isfile(path) else None

    if os.path.isdir(settings.get('image_dir') or ''):
        yield Column('image', '', image)
    if os.path.isdir(settings.get('mask_dir') or ''):
        yield Column('truth', '', mask)


def _stage_columns(
    pipeline: Pipeline, rows: Sequence[Row]
) -> Iterator[Column]:
    """The columns of stages whose pictures are there."""
    for stage, row in zip(pipeline.stages, rows):
        given = stage.what.get('pictures') or {}
        if not isinstance(given, dict):
            given = {stage.name: given}
        note = metrics_text(
            {k: v for k, v in row.metrics.items() if k in ('mIoU', 'coverage')}
        )
        # A training makes no pictures but for those of a test of its model.
        tested = _CHECKPOINT.fullmatch(str(stage.what.get('checkpoint')))
        if tested:
            note = ', '.join(filter(None, [f'by {tested[1]}', note]))
        for title, folder in given.items():
            place = fill_in(pipeline, folder, stage.name, strict=False)
            column = picture_column(title, note, place)
            if column.ids:
                yield column


def _cells(
    pipeline: Pipeline,
    img_id: str,
    columns: Sequence[Column],
    classes: Sequence[str],
    shown: Set[int],
) -> Iterator[Dict[str, Any]]:
    """Draw the cells of an image; what they colour is added to ``shown``."""
    paths = {column.title: column.find(img_id) for column in columns}
    image = None
    if paths.get('image'):
        # A broken one is said in its own cell.
        with suppress(OSError, ValueError):
            image = read_fitting(str(paths['image']), paths.values())
    for title, path in paths.items():
        if path is None:
            yield dict(text='not made for this image')
            continue
        try:
            labels: Set[int] = set()
            if title == 'image' and image is not None:
                drawn = image
            else:
                drawn, labels = draw_file(path, image, classes)
            name = f'pictures/{title}/{img_id}'
            write_image(join_inside(pipeline.work_dir, name, '.jpg'), drawn)
        except (OSError, ValueError) as error:
            yield dict(text=str(error))
            continue
        shown |= labels
        yield dict(
            text=f'{title} of {img_id}',
            source=quote(f'{name}.jpg'),
            height=drawn.shape[0],
            width=drawn.shape[1],
        )


def read_fitting(path: str, others: Iterable[Optional[str]]) -> np.ndarray:
    """Read an image, turned by its EXIF entry unless a map of it is not."""
    stored = image_size(path, exif_orientation=False)
    turn = stored == image_size(path)
    if not turn:
        maps = [other for other in others if other and other.endswith('.png')]
        turn = stored not in [image_size(other) for other in maps]
    return read_picture(path, turn)


def read_picture(path: str, turn: bool = True) -> np.ndarray:
    """Read a picture, (H, W, 3) uint8, RGB, its longer side shortened."""
    image = read_image(path, turn, max_value=0)[..., ::-1]
    height, width = image.shape[:2]
    return resize(image, display_size(height, width, 1, LONGEST))


def draw_file(
    path: str, image: Optional[np.ndarray], classes: Sequence[str] = ()
) -> Tuple[np.ndarray, Set[int]]:
    """Draw a label map, class maps, regions or a picture of an image.

    Returns:
        A picture (H, W, 3) uint8, RGB, and the labels that it colours.
    """
    if path.endswith('.npz'):
        with np.load(path) as arrays:
            names = set(arrays.files)
        if 'bits' not in names:
            return _heat_maps(*read_maps(path, -1), image, classes), set()
        regions, found = read_regions(path)
        labels = np.zeros(regions.shape[1:], np.uint8)
        for region, label in zip(regions, found.tolist()):
            # Where they overlap it is ignored.
            labels[region] = np.where(labels[region] > 0, 255, label + 1)
    else:
        with open_picture(path, decode=False) as picture:
            colours = picture.mode not in ('P', 'L', '1')
        if colours or not path.endswith('.png'):
            return read_picture(path), set()
        labels = read_index_mask(path)
    base = _blank(labels.shape) if image is None else image
    return draw_label_map(base, labels), set(np.unique(labels).tolist())


def _blank(shape: Sequence[int]) -> np.ndarray:
    """A grey field to draw on, no larger than a picture."""
    size = display_size(shape[0], shape[1], 1, LONGEST)
    return np.full((*size, 3), _GREY, np.uint8)


def _heat_maps(
    maps: np.ndarray,
    labels: np.ndarray,
    image: Optional[np.ndarray],
    classes: Sequence[str],
) -> np.ndarray:
    """One heat map, or four small ones with names in the room of one."""
    base = _blank(maps.shape[1:]) if image is None else image
    planes = [np.asarray(plane, np.float32) for plane in maps]
    if len(planes) < 2:
        return heatmap_overlay(base, planes[0]) if planes else base
    height, width = max(1, base.shape[0] // 2), max(1, base.shape[1] // 2)
    tiles = []
    for plane, x in zip(planes[:4], labels.tolist()):
        small = letterbox(heatmap_overlay(base, plane), height, width)
        tiles.append(Tile(small, class_name(classes, x)))
    return panel(note_left_out(tiles, len(planes) - 4), columns=2)
