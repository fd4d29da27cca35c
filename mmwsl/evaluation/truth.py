"""Ground truth for scores, counts and instances of other programs.

n: images. C: classes.
"""

from typing import Any, Dict, Optional, Sequence

import numpy as np

from mmwsl.apis import dataset_config, load_config
from mmwsl.evaluation.files import ClassScores
from mmwsl.registry import DATASETS


def config_dataset(
    config: str,
    split: str,
    cfg_options: Optional[Dict[str, Any]] = None,
    eval_pipeline: Sequence[Dict[str, Any]] = (),
) -> Any:
    """Build the data set of a config without its own pipeline.

    Args:
        config (str): Config file.
        split (str): 'train', 'val' or 'test'.
        cfg_options (dict, optional): Dotted keys that override the config.
        eval_pipeline (Sequence[dict]): Transforms that follow the loading
            of the image; without them there is no pipeline at all.

    Returns:
        mmengine.dataset.BaseDataset: In test mode if there is a pipeline.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If it has no such split.
    """
    cfg = load_config(config, cfg_options)
    settings = dataset_config(cfg, split)
    own = settings.get('pipeline', [])
    settings['pipeline'] = []
    if eval_pipeline:
        loading = [t for t in own if t['type'] == 'LoadWSLImage']
        settings['pipeline'] = [
            *(loading or [dict(type='LoadWSLImage')]),
            *eval_pipeline,
        ]
        settings['test_mode'] = True
    return DATASETS.build(settings)


def rows_of_images(
    given: ClassScores,
    img_ids: Sequence[str],
    classes: Sequence[str],
    path: str,
    what: str = 'scores',
) -> np.ndarray:
    """Bring the rows and columns of a file into the order of the truth.

    Args:
        given (ClassScores): What the file holds.
        img_ids (Sequence[str]): The n images of the truth.
        classes (Sequence[str]): Its C classes.
        path (str): The file, for messages.
        what (str): What the numbers are, for messages.

    Returns:
        np.ndarray: (n, C).

    Raises:
        ValueError: If classes differ or an image is missing.
    """
    width = given.scores.shape[1]
    if width != len(classes):
        raise ValueError(
            f'{path}: {width} {what} for each image, but there are '
            f'{len(classes)} classes'
        )
    columns = list(range(width))
    if given.classes and sorted(given.classes) != sorted(classes):
        unknown = sorted(set(given.classes) - set(classes))
        raise ValueError(f'{path}: unknown class names {unknown}')
    if given.classes:
        columns = [given.classes.index(name) for name in classes]
    rows = {img_id: row for row, img_id in enumerate(given.ids)}
    missing = [img_id for img_id in img_ids if img_id not in rows]
    if missing:
        raise ValueError(
            f'{path}: no {what} for {len(missing)} of {len(img_ids)} images, '
            f'the first is {missing[0]}'
        )
    return given.scores[[rows[img_id] for img_id in img_ids]][:, columns]
