"""Tests of proposals of many images in one file."""

import json

import numpy as np
import pytest

from mmwsl.proposals import (
    ProposalList,
    read_proposals,
    write_proposal_list,
)
from mmwsl.structures import PackedMasks


def test_list_of_many_images(tmp_path, masks, proposals) -> None:
    path = str(tmp_path / 'new' / 'all.json')
    write_proposal_list(
        path, {'x/a': proposals[3:], 'x/b': PackedMasks.from_masks(masks[:1])}
    )
    found = ProposalList(path)
    assert found.img_ids == ['x/a', 'x/b']
    np.testing.assert_array_equal(found.read('x/a').unpack(), masks[3:])
    assert found.read('x/a').scores.tolist() == [0.5, -1]
    assert found.read('x/b').scores is None
    with pytest.raises(ValueError, match='all.json: x/c: .*no such image_id'):
        found.read('x/c')


def test_numbered_images(tmp_path) -> None:
    item = dict(segmentation=dict(size=[1, 2], counts=[1, 1]))
    items = [{**item, 'image_id': 7}, {**item, 'image_id': 9}]
    names = [dict(id=7, file_name='val/7.jpg')]
    path = tmp_path / 'all.json'
    path.write_text(json.dumps(items))
    assert ProposalList(str(path)).img_ids == ['7', '9']
    assert ProposalList(str(path), names).img_ids == ['val/7', '9']
    path.write_text(json.dumps(dict(annotations=items, images=names)))
    assert ProposalList(str(path)).read('val/7').unpack().tolist() == [
        [[False, True]]
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is empty'),
        ('[]', 'holds no proposal'),
        ('[{"segmentation": 1}]', 'dicts with image_id'),
        ('{', 'is no JSON'),
        ('[' * 100000, 'is no JSON'),
        ('[{"image_id": [1]}]', 'dicts with image_id'),
        ('[{"image_id": null}]', 'dicts with image_id'),
        ('{"images": [{"file_name": "a.jpg"}]}', 'with id and file_name'),
        ('{"images": [{"id": 1}]}', 'with id and file_name'),
        ('{"images": [{"id": [1], "file_name": "a"}]}', 'with id and'),
        ('{"images": 1}', 'images is no list'),
    ],
)
def test_wrong_list(tmp_path, text, message) -> None:
    path = tmp_path / 'all.json'
    with pytest.raises(FileNotFoundError, match='all.json: .*not exist'):
        ProposalList(str(path))
    path.write_text(text)
    with pytest.raises(ValueError, match=f'all.json: .*{message}'):
        ProposalList(str(path))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(counts=None), 'counts must be'),
        (dict(counts=[10**30]), 'counts must be'),
        (dict(size=None), 'size is not height'),
        (dict(score='high'), 'high'),
        (dict(score=10**400), 'OverflowError: '),
        (dict(score=[1]), 'scores of shape'),
        (dict(score={}), 'dict'),
    ],
)
def test_broken_items_name_file_and_image(tmp_path, change, message) -> None:
    item = dict(size=[1, 2], counts=[1, 1], score=1.0)
    item.update(change)
    score = item.pop('score')
    path = tmp_path / 'all.json'
    path.write_text(
        json.dumps([dict(image_id='x', segmentation=item, score=score)])
    )
    proposals = ProposalList(str(path))
    with pytest.raises(ValueError, match=f'all.json: x: .*{message}'):
        proposals.read('x')
    with pytest.raises(ValueError, match=f'all.json: .*{message}'):
        read_proposals(str(path))
