"""Reading and writing proposals: one file an image, or one of all images.

K: number of proposals, S: number of superpixels, (H, W): size of the image.
"""

import io
import json
import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from scipy.io import loadmat

from mmwsl.structures import Proposals
from mmwsl.utils.files import (
    naming,
    read_arrays,
    read_bytes,
    read_json,
    write_arrays,
    write_whole,
)
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
PROPOSAL_SUFFIXES = ('.npz', '.npy', '.json', '.mat')
WRITTEN_SUFFIXES = ('.npz', '.npy', '.json')


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
    suffix = _suffix(path, PROPOSAL_SUFFIXES)
    with naming(path):
        if suffix == '.json':
            found = _from_list(_items(read_json(path, _WHAT)))
        elif suffix == '.mat':
            found = _read_mat(path)
        else:
            found = _from_arrays(read_arrays(path, _WHAT))
        return _best_first(found)


def write_proposals(
    path: str,
    proposals: Proposals,
    parameters: Optional[Dict[str, Any]] = None,
) -> None:
    """Write the proposals of one image, whole or not at all.

    A ``.npz`` keeps ``parameters``, how they were made; a ``.npy`` keeps no
    scores; a ``.json`` lists them as COCO does. Missing folders are made.
    """
    suffix = _suffix(path, WRITTEN_SUFFIXES)
    if suffix == '.json':
        write_whole(path, json.dumps(_list_of(proposals)).encode())
        return
    if suffix == '.npy':
        file = io.BytesIO()
        np.save(file, proposals.masks)
        write_whole(path, file.getvalue())
        return
    content: Dict[str, Any] = dict(
        bits=pack_masks(proposals.masks), size=np.array(proposals.size)
    )
    if proposals.scores is not None:
        content['scores'] = proposals.scores
    if parameters is not None:
        content['parameters'] = np.array(json.dumps(parameters))
    # Masks are mostly whole areas: a tenth of the space remains.
    write_arrays(path, compressed=True, **content)


def read_parameters(path: str) -> Optional[Dict[str, Any]]:
    """Read how the proposals of a ``.npz`` file were made, if it says so.

    Raises:
        ValueError: If the file, of which all is read, is broken.
    """
    content = read_arrays(path, _WHAT)
    with naming(path):
        _best_first(_from_arrays(content))
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
            return _best_first(_from_list(self._items[img_id]))


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


def _best_first(proposals: Proposals) -> Proposals:
    """Sort proposals by their scores, if they have any; refuse none."""
    if not len(proposals):
        raise ValueError('holds no proposal')
    if proposals.scores is None:
        return proposals
    if np.isnan(proposals.scores).any():
        raise ValueError('a score is not a number')
    return proposals[np.argsort(-proposals.scores, kind='stable')]


def _items(content: Any) -> Any:
    """Return the list of a .json file that may have a dict around it."""
    if isinstance(content, dict):
        return content.get('proposals', content.get('annotations'))
    return content


def _from_list(items: Any) -> Proposals:
    """Read a list of run lengths, or of dicts with ``segmentation``."""
    masks: List[np.ndarray] = []
    scores: List[Any] = []
    items = items if isinstance(items, list) else [items]
    for number, item in enumerate(items):
        if isinstance(item, dict) and {'size', 'counts'} <= set(item):
            item = dict(segmentation=item)
        if not isinstance(item, dict) or 'segmentation' not in item:
            raise ValueError('is no list of dicts with segmentation')
        masks.append(decode_mask(item['segmentation'], f'entry {number}'))
        scores.append(item.get('score'))
    if not masks:
        raise ValueError('holds no proposal')
    if len({mask.shape for mask in masks}) > 1:
        raise ValueError('holds masks of different sizes')
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


def _from_stack(masks: np.ndarray, scores: Any) -> Proposals:
    if masks.dtype.kind not in 'bui':
        raise ValueError(f'masks must be bool or integers, got {masks.dtype}')
    return Proposals(masks, scores)


def _from_arrays(content: Any) -> Proposals:
    if isinstance(content, np.ndarray):
        content = {'masks': content}
    scores = content.get('scores')
    if 'bits' in content and 'size' in content:
        size = whole_numbers(content['size'])
        if size is None or size.shape != (2,):
            raise ValueError('size is not height and width')
        masks = unpack_masks(content['bits'], (size[0], size[1]))
        return Proposals(masks, scores)
    for name in _STACKS:
        if name in content:
            return _from_stack(content[name], scores)
    raise ValueError(f'holds none of bits and size, {", ".join(_STACKS)}')


def _read_mat(path: str) -> Proposals:
    file = io.BytesIO(read_bytes(path, _WHAT))
    try:
        content = loadmat(file)
    except NotImplementedError as error:
        raise ValueError(
            'is a file of MATLAB 7.3; save it with the option -v7'
        ) from error
    # A broken file raises whatever the parser stumbles over.
    except Exception as error:
        raise ValueError('is no readable MATLAB file') from error
    scores = np.reshape(content.get('scores', ()), -1)

    def fitting(count: int) -> Optional[np.ndarray]:
        """Scores of something else, such as of all scales, are left out."""
        return scores if len(scores) == count else None

    for name in _STACKS:
        if np.ndim(content.get(name, ())) == 3:
            stack = np.moveaxis(content[name], 2, 0)
            return _from_stack(stack, fitting(len(stack)))
    if 'superpixels' not in content or 'labels' not in content:
        raise ValueError(
            'holds neither superpixels and labels nor one of '
            f'{", ".join(_STACKS)}'
        )
    superpixels = np.asarray(content['superpixels']).astype(np.int64)
    members = _members(content['labels'], int(superpixels.max()))
    return Proposals(members[:, superpixels], fitting(len(members)))


def _members(labels: Any, largest: int) -> np.ndarray:
    """Return which superpixels are in which proposal, bool (K, S + 1)."""
    labels = np.asarray(labels)
    if labels.dtype == object:
        lists = [np.asarray(item).reshape(-1) for item in labels.reshape(-1)]
    else:
        # A matrix with one proposal a row, filled up with zeros.
        lists = [row[row != 0] for row in np.atleast_2d(labels)]
    if not lists:
        raise ValueError('holds no proposal')
    members = np.zeros((len(lists), largest + 1), dtype=bool)
    for row, numbers in zip(members, lists):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() <= largest:
            raise ValueError(
                f'labels name superpixels that are not in 0 to {largest}'
            )
        row[numbers.astype(np.int64)] = True
    return members


def _suffix(path: str, known: Sequence[str]) -> str:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in known:
        raise ValueError(
            f'{path}: proposals are {", ".join(known)} files here'
        )
    return suffix
