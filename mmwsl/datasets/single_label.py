"""One entry for each image and class of sets with several labels an image."""

from typing import Any, Dict, List, Union

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset, check_choice
from mmwsl.registry import DATASETS


@DATASETS.register_module()
class SingleLabelEntries(WSLDataset):
    """Entries of one label each, made from another data set.

    Localisation is trained and measured with one class at a time. An entry's
    ground truth is what belongs to its class: ``LoadEvalAnnotations`` leaves
    the objects of other classes out.

    Args:
        source: The other data set or its config. Its pipeline is not used;
            ``test_mode`` and ``collect_problems`` of a config are those of
            this one.
        images: 'all' for one entry for each image and class, with the id
            ``<image id>/<class>``; 'single' for the images of one class only,
            which keep their ids.
        keep_difficult: Whether classes that only objects marked difficult show
            are labels.
        **kwargs: Arguments of :class:`WSLDataset`, as ``pipeline`` and
            ``test_mode``.

    Example:
        >>> SingleLabelEntries(
        ...     source=dict(
        ...         type='VOCImageLevelDataset',
        ...         data_root='data/VOCdevkit/VOC2012'))
    """

    def __init__(
        self,
        source: Union[Dict[str, Any], WSLDataset],
        images: str = 'all',
        keep_difficult: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice('images', images, ('all', 'single'))
        self.source = source
        self.images = images
        self.keep_difficult = keep_difficult
        super().__init__(**kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """List the source's images and their classes."""
        source = self.source
        if isinstance(source, dict):
            config = dict(
                source,
                pipeline=[],
                test_mode=self.test_mode,
                collect_problems=self.collect_problems,
            )
            source = DATASETS.build(config)
        if not isinstance(source, WSLDataset):
            raise TypeError(
                'source must be a data set of mmwsl, got '
                f'{type(source).__name__}'
            )
        source.full_init()
        self._source = source
        self.problems += source.problems
        self._metainfo.update(source.metainfo)
        entries = []
        for index in range(len(source)):
            info = source.get_data_info(index)
            labels = info['gt_label'].tolist()
            if not self.keep_difficult:
                hard = info['gt_label_difficult'].tolist()
                labels = [label for label in labels if label not in hard]
            if self.images == 'single' and len(labels) != 1:
                continue
            for label in labels:
                name = str(info['img_id'])
                if self.images == 'all':
                    word = self.classes[label].replace('/', '_')
                    name = f'{name}/{word}'
                entries.append(
                    dict(
                        img_id=name,
                        img_path=info['img_path'],
                        gt_label=np.array([label], dtype=np.int64),
                        source_index=index,
                    )
                )
        return entries

    def get_data_info(self, idx: int) -> DataInfo:
        """Return one entry; see :class:`WSLDataset` for the keys."""
        stub = super().get_data_info(idx)
        info = self._source.get_data_info(stub['source_index'])
        label = int(stub['gt_label'][0])
        info.update(
            img_id=stub['img_id'],
            sample_idx=stub['sample_idx'],
            gt_label=stub['gt_label'],
            gt_label_difficult=np.zeros(0, dtype=np.int64),
        )
        if 'gt_count' in info:
            own = np.arange(info['num_classes']) == label
            info['gt_count'] = np.where(own, info['gt_count'], 0)
        # A source that was built elsewhere may be in test mode on its own.
        truth = info.pop('eval_ann', {})
        if self.test_mode:
            info['eval_ann'] = dict(truth, only_label=label)
        return info
