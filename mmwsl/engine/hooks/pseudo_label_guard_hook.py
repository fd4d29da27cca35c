"""Check pseudo labels before a training starts."""

import os
from typing import Any, List, Optional, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.datasets import base_datasets
from mmwsl.pseudo_labels.guard import check_label_maps, check_source
from mmwsl.registry import HOOKS


@HOOKS.register_module()
class PseudoLabelGuardHook(Hook):
    """Refuse to train a segmentor on ground truth, or on missing files.

    It belongs to the custom hooks of configs of mmseg whose training set
    has pseudo labels as ``seg_map_path``. What the data sets of validation
    and test have there counts as ground truth. See
    :func:`mmwsl.pseudo_labels.guard.check_source`. Label maps must be as
    large as their images and hold classes of the data set; all of them are
    decoded once.

    Args:
        truth: More folders of ground truth.
    """

    def __init__(self, truth: Sequence[str] = ()) -> None:
        self.truth = list(truth)

    def before_train(self, runner: Runner) -> None:
        """Check the training set.

        Raises:
            FileNotFoundError: If label maps are missing.
            ValueError: If they are ground truth, broken, of another size
                than their images or of unknown classes, or if a data set
                has none.
        """
        truth = [*self.truth]
        for split in ('val_dataloader', 'test_dataloader'):
            truth += _mask_folders((runner.cfg.get(split) or {}))
        for dataset in base_datasets(runner.train_dataloader.dataset):
            folder = getattr(dataset, 'data_prefix', {}).get('seg_map_path')
            if not folder:
                raise ValueError(
                    'PseudoLabelGuardHook: the training set has no '
                    'data_prefix.seg_map_path, the folder of label maps'
                )
            infos = [
                dataset.get_data_info(index) for index in range(len(dataset))
            ]
            paths = [info['seg_map_path'] for info in infos]
            check_source(folder, paths, truth)
            images = [info['img_path'] for info in infos]
            check_label_maps(images, paths, _num_values(dataset))


def _num_values(dataset: Any) -> Optional[int]:
    """Return how many values label maps may hold besides 255, if known."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    if not classes:
        return None
    # On disk there are all classes, also where a run takes only some.
    known = getattr(dataset, 'label_map', None) or classes
    return len(known) + bool(getattr(dataset, 'reduce_zero_label', False))


def _mask_folders(node: Any) -> List[str]:
    """Collect the folders of masks in the config of a data loader."""
    if isinstance(node, (list, tuple)):
        return [folder for item in node for folder in _mask_folders(item)]
    if not isinstance(node, dict):
        return []
    prefix = node.get('data_prefix') or {}
    found = [
        os.path.join(node.get('data_root') or '', folder)
        for key, folder in prefix.items()
        if key == 'seg_map_path' and folder
    ]
    return found + _mask_folders(list(node.values()))
