"""Reading and writing proposals: one file an image, or one of all images.

K: number of proposals, S: number of superpixels, (H, W): size of the image.
"""

import io
import json
import os
from typing import Any, Callable, Dict, List, Optional

import numpy as np
from scipy.io import loadmat

from mmwsl.structures import Proposals
from mmwsl.utils.files import naming, read_json, write_whole
from mmwsl.utils.masks import (
    decode_mask,
    encode_mask,
    pack_masks,
    unpack_masks,
    whole_numbers,
)

# Names under which unpacked stacks are found, in .npz and in .mat files.
_STACKS = ('masks', 'proposals', 'arr_0', 'maskmat')
_WHAT = 'proposal file'


def read_proposals(path: str) -> Proposals:
    """Read the proposals of one image, best first.

    - ``.npz``: packed by :func:`write_proposals`, or a stack (K, H, W) called
      ``masks``, ``proposals`` or nothing, with or without ``scores`` (K,);
    - ``.npy``: a stack (K, H, W), bool or integers;
    - ``.json``: a list of dicts with ``segmentation``, COCO's run lengths,
      and with or without ``score``, or of nothing but the run lengths; or a
      dict with such a list as ``proposals`` or ``annotations``;
    - ``.mat``, of MATLAB 5 to 7: ``superpixels`` (H, W), numbers from 1, and
      ``labels``, a cell of the numbers of each proposal, with or without
      ``scores`` (K,), as MCG and COB write; or a stack (H, W, K) called
      ``proposals``, ``maskmat`` or ``masks``.

    Proposals with scores are sorted by them, those of one score and those
    without keep their order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, empty or holds no proposal.
    """
    reader = _known(_READERS, path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: {_WHAT} does not exist')
    if os.path.getsize(path) == 0:
        raise ValueError(f'{path}: {_WHAT} is empty')
    with naming(path):
        return _best_first(reader(path), path)


def write_proposals(
    path: str,
    proposals: Proposals,
    parameters: Optional[Dict[str, Any]] = None,
) -> None:
    """Write the proposals of one image, whole or not at all.

    Args:
        path: A ``.npz``, ``.npy`` or ``.json`` file; missing folders are made.
            ``.npy`` keeps no scores.
        proposals: K masks.
        parameters: How they were made, kept in ``.npz`` files only.
    """
    writer = _known(_WRITERS, path)
    write_whole(path, writer(proposals, parameters))


def read_parameters(path: str) -> Optional[Dict[str, Any]]:
    """Read how the proposals of a ``.npz`` file were made, if it says so.

    Raises:
        ValueError: If the file, of which all is read, is broken.
    """
    with naming(path):
        content = _load_npz(path)
        read_proposals(path)
        if 'parameters' not in content:
            return None
        return dict(json.loads(str(content['parameters'])))


class ProposalList:
    """A ``.json`` file with the proposals of many images.

    The file is a list of dicts with ``image_id``, ``segmentation`` (COCO's
    run lengths) and maybe ``score``, or a dict of such a list as
    ``proposals`` or ``annotations``, maybe with COCO's ``images``. An image
    goes by its ``image_id`` as text, or, where ``images`` or ``names`` list
    it, by its file name without suffix. Masks stay encoded until asked for.

    Args:
        path: The file.
        names: COCO's ``images``, dicts of ``id`` and ``file_name``, where the
            file has none.
    """

    def __init__(
        self, path: str, names: Optional[List[Dict[str, Any]]] = None
    ) -> None:
        content = read_json(path, _WHAT)
        if isinstance(content, dict) and content.get('images'):
            names = images_of(content, path)
        content = _items(content)
        if not isinstance(content, list) or not all(
            isinstance(item, dict) and _is_id(item.get('image_id'))
            for item in content
        ):
            raise ValueError(
                f'{path}: is no list of dicts with image_id, a text or a '
                'number'
            )
        if not content:
            raise ValueError(f'{path}: {_WHAT} holds no proposal')
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

    def read(self, img_id: str) -> Proposals:
        """Return the proposals of an image, best first."""
        place = f'{self.path}: {img_id}'
        if img_id not in self._items:
            raise ValueError(f'{place}: {_WHAT} has no such image_id')
        with naming(place):
            return _best_first(_from_list(self._items[img_id], place), place)


def images_of(content: Any, path: str) -> List[Dict[str, Any]]:
    """Return COCO's ``images`` of what a file holds.

    Raises:
        ValueError: If they are no list of dicts with ``id``, a text or a
            number, and ``file_name``.
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


def write_proposal_list(path: str, proposals: Dict[str, Proposals]) -> None:
    """Write proposals, by image id, into one ``.json`` file."""
    items = [
        {'image_id': img_id, **item}
        for img_id, masks in proposals.items()
        for item in _list_of(masks)
    ]
    write_whole(path, json.dumps(items).encode())


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _best_first(proposals: Proposals, path: str) -> Proposals:
    """Sort proposals by their scores, if they have any; refuse none."""
    if not len(proposals):
        raise ValueError(f'{path}: {_WHAT} holds no proposal')
    if proposals.scores is None:
        return proposals
    if np.isnan(proposals.scores).any():
        raise ValueError(f'{path}: a score is not a number')
    return proposals[np.argsort(-proposals.scores, kind='stable')]


def _items(content: Any) -> Any:
    """Return the list of a .json file that may have a dict around it."""
    if isinstance(content, dict):
        return content.get('proposals', content.get('annotations'))
    return content


def _from_list(items: Any, path: str) -> Proposals:
    """Read a list of dicts of ``segmentation`` and maybe ``score``."""
    if isinstance(items, list):
        items = [
            dict(segmentation=item)
            if isinstance(item, dict) and {'size', 'counts'} <= set(item)
            else item
            for item in items
        ]
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and 'segmentation' in item for item in items
    ):
        raise ValueError(f'{path}: is no list of dicts with segmentation')
    if not items:
        raise ValueError(f'{path}: {_WHAT} holds no proposal')
    masks = [decode_mask(item['segmentation'], path) for item in items]
    if len({mask.shape for mask in masks}) > 1:
        raise ValueError(f'{path}: holds masks of different sizes')
    scores = [item.get('score') for item in items]
    return Proposals(
        np.stack(masks),
        None if None in scores else np.array(scores, dtype=np.float32),
    )


def _list_of(proposals: Proposals) -> List[Dict[str, Any]]:
    """Return proposals as COCO lists them, without ``image_id``."""
    found = [dict(segmentation=encode_mask(mask)) for mask in proposals.masks]
    if proposals.scores is not None:
        for item, score in zip(found, proposals.scores.tolist()):
            item['score'] = score
    return found


def _from_stack(masks: Any, path: str, scores: Any) -> Proposals:
    masks = np.asarray(masks)
    if masks.dtype.kind not in 'bui':
        raise ValueError(
            f'{path}: masks must be bool or integers, got {masks.dtype}'
        )
    return Proposals(masks, scores)


def _load_npz(path: str) -> Dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # A broken file raises whatever the parsers of zip and numpy stumble over.
    except Exception as error:
        raise ValueError(f'{path}: is no readable .npz file') from error


def _read_npz(path: str) -> Proposals:
    content = _load_npz(path)
    scores = content.get('scores')
    if 'bits' in content and 'size' in content:
        size = whole_numbers(content['size'])
        if size is None or size.shape != (2,):
            raise ValueError(f'{path}: size is not height and width')
        masks = unpack_masks(content['bits'], (size[0], size[1]))
        return Proposals(masks, scores)
    for name in _STACKS:
        if name in content:
            return _from_stack(content[name], path, scores)
    raise ValueError(
        f'{path}: holds none of bits and size, {", ".join(_STACKS)}'
    )


def _read_npy(path: str) -> Proposals:
    try:
        # Unlike np.load it takes neither pickles nor archives.
        with open(path, 'rb') as file:
            masks = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:
        raise ValueError(f'{path}: is no readable .npy file') from error
    return _from_stack(masks, path, None)


def _read_json(path: str) -> Proposals:
    return _from_list(_items(read_json(path, _WHAT)), path)


def _read_mat(path: str) -> Proposals:
    try:
        content: Dict[str, Any] = loadmat(path)
    except NotImplementedError as error:
        raise ValueError(
            f'{path}: is a file of MATLAB 7.3; save it with the option -v7'
        ) from error
    # A broken file raises whatever the parser stumbles over.
    except Exception as error:
        raise ValueError(f'{path}: is no readable MATLAB file') from error
    scores = np.reshape(content.get('scores', ()), -1)

    def fitting(count: int) -> Optional[np.ndarray]:
        """Scores of something else, such as of all scales, are left out."""
        return scores if len(scores) == count else None

    for name in _STACKS:
        if np.ndim(content.get(name, ())) == 3:
            stack = np.moveaxis(content[name], 2, 0)
            return _from_stack(stack, path, fitting(len(stack)))
    if 'superpixels' not in content or 'labels' not in content:
        raise ValueError(
            f'{path}: holds neither superpixels and labels nor one of '
            f'{", ".join(_STACKS)}'
        )
    superpixels = np.asarray(content['superpixels']).astype(np.int64)
    members = _members(content['labels'], int(superpixels.max()), path)
    return Proposals(members[:, superpixels], fitting(len(members)))


def _members(labels: Any, largest: int, path: str) -> np.ndarray:
    """Return which superpixels are in which proposal, bool (K, S + 1)."""
    labels = np.asarray(labels)
    if labels.dtype == object:
        lists = [np.asarray(item).reshape(-1) for item in labels.reshape(-1)]
    else:
        # A matrix with one proposal a row, filled up with zeros.
        lists = [row[row != 0] for row in np.atleast_2d(labels)]
    if not lists:
        raise ValueError(f'{path}: {_WHAT} holds no proposal')
    members = np.zeros((len(lists), largest + 1), dtype=bool)
    for row, numbers in zip(members, lists):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() <= largest:
            raise ValueError(
                f'{path}: labels name superpixels that are not in 0 to '
                f'{largest}'
            )
        row[numbers.astype(np.int64)] = True
    return members


def _npz(proposals: Proposals, parameters: Optional[Dict[str, Any]]) -> bytes:
    content: Dict[str, Any] = dict(
        bits=pack_masks(proposals.masks), size=np.array(proposals.size)
    )
    if proposals.scores is not None:
        content['scores'] = proposals.scores
    if parameters is not None:
        content['parameters'] = np.array(json.dumps(parameters))
    file = io.BytesIO()
    # Masks are mostly whole areas: a tenth of the space remains.
    np.savez_compressed(file, **content)
    return file.getvalue()


def _npy(proposals: Proposals, parameters: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, proposals.masks)
    return file.getvalue()


def _json(proposals: Proposals, parameters: Any) -> bytes:
    return json.dumps(_list_of(proposals)).encode()


_READERS: Dict[str, Callable[[str], Proposals]] = {
    '.npz': _read_npz,
    '.npy': _read_npy,
    '.json': _read_json,
    '.mat': _read_mat,
}
_WRITERS: Dict[str, Callable[[Proposals, Any], bytes]] = {
    '.npz': _npz,
    '.npy': _npy,
    '.json': _json,
}
PROPOSAL_SUFFIXES = tuple(_READERS)
WRITTEN_SUFFIXES = tuple(_WRITERS)


def _known(functions: Dict[str, Any], path: str) -> Any:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in functions:
        raise ValueError(
            f'{path}: proposals are {", ".join(functions)} files here'
        )
    return functions[suffix]
