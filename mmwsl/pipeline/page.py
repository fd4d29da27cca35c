"""One HTML page with pictures of every stage for the same few images."""

import os
import re
from contextlib import suppress
from html import escape
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence
from urllib.parse import quote

import numpy as np

from mmwsl.datasets.files import FileIndex
from mmwsl.datasets.voc import VOC_CLASSES
from mmwsl.evaluation.files import read_class_names, read_ids
from mmwsl.pipeline.commands import fill_in
from mmwsl.pipeline.page_style import PAGE
from mmwsl.pipeline.pictures import (
    Drawing,
    PictureFolder,
    draw_file,
    read_fitting,
)
from mmwsl.pipeline.stages import Pipeline
from mmwsl.pipeline.summary import Row, metrics_text, summary_cells
from mmwsl.utils.files import join_inside, write_whole
from mmwsl.visualization import class_colors, write_image

_CHECKPOINT = re.compile(r'\{(.+)\.checkpoint\}')
_NUMBER = 6
_FOLDER = 'pictures'


class Column(NamedTuple):
    """A column of pictures: its title, what is below it, its files."""

    title: str
    note: str
    files: PictureFolder


def write_page(pipeline: Pipeline, rows: Sequence[Row]) -> str:
    """Write index.html and its pictures into the folder of all stages.

    A file that cannot be drawn is named in its place.

    Args:
        pipeline: The pipeline.
        rows: What is told of the stages.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: If the list of images is missing.
    """
    settings = fill_in(pipeline, pipeline.page, strict=False)
    columns = list(_columns(pipeline, rows))
    classes = _classes(settings.get('classes', 'voc'))
    legend: Dict[int, str] = {}
    lines = []
    for img_id in choose_images(settings, columns):
        cells = _image_cells(
            pipeline, settings, img_id, columns, classes, legend
        )
        lines.append(f'<th scope="row">{escape(img_id)}</th>' + ''.join(cells))
    heads = [('image', ''), ('truth', '')]
    heads = [head for head in heads if _source(settings, head[0])]
    heads += [(column.title, column.note) for column in columns]
    titles = ''.join(
        f'<th scope="col">{escape(title)}<small>{escape(note)}</small></th>'
        for title, note in heads
    )
    name = os.path.splitext(os.path.basename(pipeline.path))[0]
    content = PAGE.format(
        title=escape(name),
        summary=_summary(rows),
        legend=_legend(legend),
        head=f'<th scope="col" class="corner"></th>{titles}',
        body='\n'.join(f'<tr>{line}</tr>' for line in lines),
    )
    path = os.path.join(pipeline.work_dir, 'index.html')
    write_whole(path, content.encode())
    return path


def choose_images(
    settings: Dict[str, Any], columns: Sequence[Column]
) -> List[str]:
    """The images to show: the given ones, or some at equal distances.

    Args:
        settings: ``images``, or ``number`` of those in the file ``list`` or,
            without it, in the first folder of pictures.
        columns: The folders of pictures.
    """
    if settings.get('images'):
        return [str(img_id) for img_id in settings['images']]
    if settings.get('list'):
        ids = read_ids(
            settings['list'], lambda x: any(c.files.find(x) for c in columns)
        )
    else:
        ids = list(columns[0].files.files) if columns else []
    number = min(int(settings.get('number', _NUMBER)), len(ids))
    if not number:
        return []
    chosen = np.linspace(0, len(ids) - 1, number).round().astype(int)
    return [ids[index] for index in chosen]


def _columns(pipeline: Pipeline, rows: Sequence[Row]) -> Iterator[Column]:
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
            files = PictureFolder(fill_in(pipeline, folder, stage.name, False))
            if files.files:
                yield Column(title, note, files)


def _classes(given: Any) -> Sequence[str]:
    if given == 'voc':
        return VOC_CLASSES
    return read_class_names(given) if isinstance(given, str) else list(given)


def _source(settings: Dict[str, Any], title: str) -> Optional[str]:
    """The folder of input images or of ground truth, if it is there."""
    key = dict(image='image_dir', truth='mask_dir')[title]
    folder = settings.get(key)
    return folder if folder and os.path.isdir(folder) else None


def _image_cells(
    pipeline: Pipeline,
    settings: Dict[str, Any],
    img_id: str,
    columns: Sequence[Column],
    classes: Sequence[str],
    legend: Dict[int, str],
) -> Iterator[str]:
    """The cells of one image; what they colour is added to the legend."""
    image = None
    image_dir = _source(settings, 'image')
    paths: Dict[str, Optional[str]] = {}
    if image_dir:
        stem = join_inside(image_dir, img_id, links=True)
        paths['image'] = FileIndex().find_image(stem)
    mask_dir = _source(settings, 'truth')
    if mask_dir:
        mask = join_inside(mask_dir, img_id, '.png', links=True)
        paths['truth'] = mask if os.path.isfile(mask) else None
    for column in columns:
        paths[column.title] = column.files.find(img_id)
    if paths.get('image'):
        # A broken one is said in its own cell.
        with suppress(OSError, ValueError):
            image = read_fitting(str(paths['image']), paths.values())
    for title, path in paths.items():
        if path is None:
            yield '<td class="none">not made for this image</td>'
            continue
        try:
            folder = join_inside(_FOLDER, title)
            name = join_inside(folder, img_id, '.jpg')
            if title == 'image' and image is not None:
                drawn = Drawing(image, set())
            else:
                drawn = draw_file(path, image, classes)
        except (OSError, ValueError) as error:
            yield f'<td class="none">{escape(str(error))}</td>'
            continue
        for label in drawn.classes - {0, 255}:
            known = label <= len(classes)
            legend[label] = (
                classes[label - 1] if known else f'class {label - 1}'
            )
        write_image(os.path.join(pipeline.work_dir, name), drawn.image)
        height, width = drawn.image.shape[:2]
        text = escape(f'{title} of {img_id}')
        yield (
            f'<td><a href="{quote(name)}"><img src="{quote(name)}" '
            f'width="{width}" height="{height}" alt="{text}" '
            f'title="{text}" loading="lazy"></a></td>'
        )


def _legend(legend: Dict[int, str]) -> str:
    """A chip for each class that a picture colours."""
    colors = class_colors()
    chips = []
    for label, name in sorted(legend.items()):
        color = ','.join(str(value) for value in colors[label - 1])
        chip = f'<i style="background:rgb({color})"></i>'
        chips.append(f'<span>{chip}{escape(name)}</span>')
    if chips:
        chips.append('<span><i class="ignored"></i>ignored</span>')
    return ''.join(chips)


def _summary(rows: Sequence[Row]) -> str:
    """The table of all stages."""
    lines = []
    for number, cells in enumerate(summary_cells(list(rows))):
        tag = 'td' if number else 'th'
        row = ''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)
        lines.append(f'<tr>{row}</tr>')
    return '\n'.join(lines)
