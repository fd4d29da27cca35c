"""Proposals of many images in one list, as COCO's results are."""

import json
import os
from typing import Any, Dict, List, Optional

from mmwsl.proposals.files import best_first, from_list, list_of
from mmwsl.structures import PackedMasks
from mmwsl.utils.files import naming, read_json, write_whole


class ProposalList:
    """A ``.json`` file with the proposals of many images.

    The file is a list of dicts with ``image_id``, ``segmentation`` (COCO's
    run lengths) and maybe ``score``, or a dict of such a list as
    ``proposals`` or ``annotations``, maybe with COCO's ``images``. An image
    goes by its ``image_id`` as text, or, where ``images`` or ``names`` list
    it, by its file name without suffix. Masks stay encoded until asked for.

    Args:
        path (str): The file.
        names (list[dict], optional): COCO's ``images``, dicts of ``id`` and
            ``file_name``, where the file has none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty or holds no such list.
    """

    def __init__(
        self, path: str, names: Optional[List[Dict[str, Any]]] = None
    ) -> None:
        content = read_json(path, 'proposal file')
        if isinstance(content, dict):
            if content.get('images'):
                names = images_of(content, path)
            content = content.get('proposals', content.get('annotations'))
        if not isinstance(content, list) or not all(
            isinstance(item, dict) and _is_id(item.get('image_id'))
            for item in content
        ):
            raise ValueError(
                f'{path}: is no list of dicts with image_id, a text or a '
                'number'
            )
        if not content:
            raise ValueError(f'{path}: proposal file holds no proposal')
        self.path = path
        name_of = {
            item['id']: os.path.splitext(item['file_name'])[0]
            for item in names or []
        }
        self._items: Dict[str, List[Any]] = {}
        for item in content:
            img_id = item['image_id']
            key = str(name_of.get(img_id, img_id))
            self._items.setdefault(key, []).append(item)

    @property
    def img_ids(self) -> List[str]:
        """The ids of the images, in the order of the file."""
        return list(self._items)

    def read(self, img_id: str) -> PackedMasks:
        """Return the proposals of an image, best first.

        Raises:
            ValueError: If the file has none of this image, or broken ones.
        """
        place = f'{self.path}: {img_id}'
        if img_id not in self._items:
            raise ValueError(f'{place}: proposal file has no such image_id')
        with naming(place):
            return best_first(from_list(self._items[img_id], place), place)


def images_of(content: Any, path: str) -> List[Dict[str, Any]]:
    """Return COCO's ``images`` of a file.

    Args:
        content (dict): What :func:`read_json` has read.
        path (str): The file, for the error.

    Returns:
        list[dict]: Each with ``id``, a text or number, and ``file_name``.

    Raises:
        ValueError: If there is no such list.
    """
    images = content.get('images') if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(
        isinstance(item, dict)
        and _is_id(item.get('id'))
        and isinstance(item.get('file_name'), str)
        for item in images
    ):
        raise ValueError(
            f'{path}: images is no list of dicts with id and file_name'
        )
    return images


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def write_proposal_list(path: str, proposals: Dict[str, PackedMasks]) -> None:
    """Write the proposals of many images into one ``.json`` file.

    Args:
        path (str): The file; missing folders are made.
        proposals (dict): Those of each image id.
    """
    items = [
        {'image_id': img_id, **item}
        for img_id, masks in proposals.items()
        for item in list_of(masks)
    ]
    write_whole(path, json.dumps(items).encode())
