"""The ids of the images of several data sets."""

from typing import Any, Dict, List

from mmwsl.datasets.base import base_datasets


def image_ids(dataset: Any) -> List[str]:
    """Return the ids of all images inside a data set, in its order.

    Args:
        dataset: A data set of ours, or a wrapper of some.

    Raises:
        ValueError: If images of two data sets share an id, so that what is
            kept by it would be mixed up.
    """
    found: List[str] = []
    source: Dict[str, int] = {}
    for number, inner in enumerate(base_datasets(dataset)):
        ids = [inner.get_data_info(i)['img_id'] for i in range(len(inner))]
        for img_id in ids:
            if source.setdefault(img_id, number) != number:
                raise ValueError(
                    f'image id {img_id!r} occurs in two of the data sets; '
                    'give them a common data_root, in which ids differ'
                )
        found += ids
    return found
