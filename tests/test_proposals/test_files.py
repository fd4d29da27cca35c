"""Tests of proposal files."""

import io
import json

import numpy as np
import pytest
from scipy.io import savemat

from mmwsl.proposals import (
    ProposalList,
    read_parameters,
    read_proposals,
    write_proposal_list,
    write_proposals,
)
from mmwsl.structures import Proposals

WRITTEN = ['.npz', '.npy', '.json']


@pytest.mark.parametrize('suffix', WRITTEN)
def test_there_and_back(tmp_path, masks, proposals, suffix) -> None:
    path = str(tmp_path / 'new' / f'a{suffix}')
    write_proposals(path, proposals)
    found = read_proposals(path)
    np.testing.assert_array_equal(found.masks, masks)
    if suffix == '.npy':
        assert found.scores is None
    else:
        np.testing.assert_allclose(found.scores, proposals.scores)
    assert [p.name for p in (tmp_path / 'new').iterdir()] == [f'a{suffix}']


def test_best_first_and_stable(tmp_path, masks) -> None:
    path = str(tmp_path / 'a.npz')
    scores = [0.1, 0.5, 0.9, 0.5, 0.5]
    write_proposals(path, Proposals(masks, scores))
    np.testing.assert_array_equal(
        read_proposals(path).masks, masks[[2, 1, 3, 4, 0]]
    )


@pytest.mark.parametrize('name', ['masks', 'proposals', 'arr_0'])
@pytest.mark.parametrize('kind', [bool, np.uint8, np.int64])
def test_stacks(tmp_path, masks, name, kind) -> None:
    path = str(tmp_path / 'a.npz')
    stack = masks.astype(kind) * kind(1)
    np.savez(path, **{name: stack}, scores=np.arange(5)[::-1])
    found = read_proposals(path)
    np.testing.assert_array_equal(found.masks, masks)
    assert found.scores.tolist() == [4, 3, 2, 1, 0]
    np.save(tmp_path / 'b.npy', stack)
    found = read_proposals(str(tmp_path / 'b.npy'))
    np.testing.assert_array_equal(found.masks, masks)


def test_dict_around_the_list(tmp_path, masks) -> None:
    counts = [2, 3, 1]
    content = [dict(segmentation=dict(size=[3, 2], counts=counts))]
    path = tmp_path / 'a.json'
    bare = [item['segmentation'] for item in content]
    for around in (
        content,
        bare,
        {'proposals': content},
        {'annotations': content},
    ):
        path.write_text(json.dumps(around))
        found = read_proposals(str(path))
        expected = [[[False, True], [False, True], [True, False]]]
        assert found.masks.tolist() == expected


def test_parameters(tmp_path, proposals) -> None:
    path = str(tmp_path / 'a.npz')
    write_proposals(path, proposals, dict(number=3, kind='x'))
    assert read_parameters(path) == dict(number=3, kind='x')
    write_proposals(path, proposals)
    assert read_parameters(path) is None


@pytest.mark.parametrize('share', [0.3, 0.9, 0.999])
def test_truncated_files(tmp_path, proposals, share):
    path = tmp_path / 'a.npz'
    write_proposals(str(path), proposals, dict(number=3))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for read in (read_parameters, read_proposals):
        with pytest.raises(ValueError, match=r'a\.npz'):
            read(str(path))


def test_failed_writing_leaves_nothing(tmp_path, proposals) -> None:
    path = str(tmp_path / 'a.npz')
    write_proposals(path, proposals)
    with pytest.raises(TypeError):
        write_proposals(path, proposals, dict(bad=object()))
    assert [p.name for p in tmp_path.iterdir()] == ['a.npz']
    assert len(read_proposals(path)) == 5


@pytest.mark.parametrize('suffix', ['.npz', '.npy', '.json', '.mat'])
def test_missing_empty_and_broken(tmp_path, suffix) -> None:
    path = tmp_path / f'a{suffix}'
    with pytest.raises(FileNotFoundError, match=f'a{suffix}: .*not exist'):
        read_proposals(str(path))
    for content in (b'', b'broken\0' * 9, damaged('member')):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'a{suffix}: ') as error:
            read_proposals(str(path))
        assert '\n' not in str(error.value)


def damaged(kind: str) -> bytes:
    """Return a .npz file that zip or zlib refuses."""
    file = io.BytesIO()
    np.savez_compressed(file, masks=np.ones((3, 40, 50), bool))
    content = bytearray(file.getvalue())
    central = content.rfind(b'PK\x01\x02')
    if kind == 'member':
        # Behind the 30 bytes of its header, its name and 20 extra bytes.
        start = 50 + len('masks.npy')
        content[start : start + 20] = b'\xff' * 20
    elif kind == 'version':
        content[central + 6] = 255
    else:
        content[central + 8] |= 1
        content[6] |= 1
    return bytes(content)


@pytest.mark.parametrize('kind', ['version', 'encrypted'])
def test_damaged_npz(tmp_path, kind) -> None:
    path = tmp_path / 'a.npz'
    path.write_bytes(damaged(kind))
    with pytest.raises(ValueError, match=r'a\.npz: .* no plain arrays'):
        read_proposals(str(path))


@pytest.mark.parametrize('shape', ['{(', '(10000000000000000,)}'])
def test_broken_npy_header(tmp_path, shape) -> None:
    """One ends too early, the other asks for 10^16 bytes."""
    header = "{'descr': '|b1', 'fortran_order': False, 'shape': "
    text = (header + shape + '\n').encode()
    path = tmp_path / 'a.npy'
    size = len(text).to_bytes(2, 'little')
    path.write_bytes(b'\x93NUMPY\x01\x00' + size + text)
    with pytest.raises(ValueError, match=r'a\.npy: .* no plain arrays'):
        read_proposals(str(path))


@pytest.mark.parametrize('suffix', WRITTEN)
def test_no_proposal(tmp_path, suffix) -> None:
    path = str(tmp_path / f'a{suffix}')
    write_proposals(path, Proposals(np.zeros((0, 2, 3))))
    with pytest.raises(ValueError, match=f'a{suffix}: .*holds no proposal'):
        read_proposals(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(scores=np.ones(2)), 'holds none of bits and size, masks'),
        (dict(bits=np.ones((1, 1), np.uint8), size=[2]), 'size is not height'),
        (
            dict(bits=np.ones((1, 1), np.uint8), size=[2.5, 3]),
            'size is not height',
        ),
        (dict(masks=np.ones((2, 3), int)), r'shape \(K, H, W\), got \(2, 3\)'),
        (dict(masks=np.ones((1, 2, 3))), 'bool or integers, got float64'),
        (dict(masks=np.ones((1, 2, 3), bool), scores=[1, 2]), r'\(1,\)'),
        (
            dict(masks=np.ones((1, 2, 3), bool), scores=[np.nan]),
            'score is not a number',
        ),
    ],
)
def test_wrong_npz(tmp_path, content, message) -> None:
    np.savez(tmp_path / 'a.npz', **content)
    with pytest.raises(ValueError, match=f'a.npz: .*{message}'):
        read_proposals(str(tmp_path / 'a.npz'))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'images': []}, 'no list of dicts with segmentation'),
        ([{'bbox': [1, 2, 3, 4]}], 'no list of dicts with segmentation'),
        (
            [
                {'segmentation': {'size': [1, 2], 'counts': [1, 1]}},
                {'segmentation': {'size': [2, 1], 'counts': [1, 1]}},
            ],
            'different sizes',
        ),
    ],
)
def test_wrong_json(tmp_path, content, message) -> None:
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'a.json: .*{message}'):
        read_proposals(str(tmp_path / 'a.json'))


def test_unknown_suffix(tmp_path, proposals) -> None:
    with pytest.raises(ValueError, match=r'a\.mat'):
        write_proposals('a.mat', proposals)
    for call in (read_proposals, lambda p: write_proposals(p, proposals)):
        with pytest.raises(ValueError, match=r'a.png: .*\.npz, \.npy'):
            call('a.png')


def test_list_of_many_images(tmp_path, masks, proposals) -> None:
    path = str(tmp_path / 'new' / 'all.json')
    write_proposal_list(
        path, {'x/a': proposals[3:], 'x/b': Proposals(masks[:1])}
    )
    found = ProposalList(path)
    assert found.img_ids == ['x/a', 'x/b']
    np.testing.assert_array_equal(found.read('x/a').masks, masks[3:])
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
    assert ProposalList(str(path)).read('val/7').masks.tolist() == [
        [[False, True]]
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is empty'),
        ('[]', 'holds no proposal'),
        ('[{"segmentation": 1}]', 'dicts with image_id'),
        ('[{"image_id": [1]}]', 'dicts with image_id'),
        ('{"images": [{"file_name": "a.jpg"}]}', 'with id and file_name'),
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


SUPERPIXELS = np.array([[1, 1, 2], [3, 3, 2]], dtype=np.uint16)
# Superpixel 2; superpixels 1 and 3.
MASKS = [[[0, 0, 1], [0, 0, 1]], [[1, 1, 0], [1, 1, 0]]]


def cell(*items):
    labels = np.empty((len(items), 1), dtype=object)
    for row, item in zip(labels, items):
        row[0] = np.array(item, dtype=np.float64)
    return labels


def write_mat(tmp_path, **content):
    path = str(tmp_path / 'a.mat')
    savemat(path, content)
    return path


@pytest.mark.parametrize(
    'labels',
    [
        cell([[2]], [[1, 3]]),
        cell([[2]], [[1], [3]]),
        # One proposal a row, filled up with zeros.
        np.array([[2, 0], [1, 3]], dtype=np.uint16),
    ],
)
def test_mcg(tmp_path, labels) -> None:
    scores = np.array([[3.0], [1.0]])
    path = write_mat(
        tmp_path, superpixels=SUPERPIXELS, labels=labels, scores=scores
    )
    found = read_proposals(path)
    np.testing.assert_array_equal(found.masks, MASKS)
    assert found.scores.tolist() == [3, 1]


def test_scores_of_something_else_are_left_out(tmp_path) -> None:
    path = write_mat(
        tmp_path, superpixels=SUPERPIXELS, labels=cell([2]), scores=[1, 2, 3]
    )
    assert read_proposals(path).scores is None


@pytest.mark.parametrize('name', ['proposals', 'maskmat', 'masks'])
def test_stacks_have_masks_last(tmp_path, name) -> None:
    stack = np.moveaxis(np.array(MASKS, dtype=np.uint8), 0, 2)
    found = read_proposals(write_mat(tmp_path, **{name: stack}))
    np.testing.assert_array_equal(found.masks, MASKS)


def test_wrong_mat(tmp_path) -> None:
    with pytest.raises(ValueError, match='a.mat: holds neither superpixels'):
        read_proposals(write_mat(tmp_path, superpixels=SUPERPIXELS))
    wrong = write_mat(tmp_path, superpixels=SUPERPIXELS, labels=cell([2, 9]))
    with pytest.raises(ValueError, match='a.mat: .*not in 0 to 3'):
        read_proposals(wrong)
    # What MATLAB writes before the HDF5 part of a file of version 7.3.
    header = b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM'
    (tmp_path / 'b.mat').write_bytes(header + b'\x89HDF' + bytes(512))
    with pytest.raises(ValueError, match='b.mat: .*7.3; .* -v7'):
        read_proposals(str(tmp_path / 'b.mat'))
