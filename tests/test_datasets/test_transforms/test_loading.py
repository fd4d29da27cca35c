import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import (
    LoadProposals,
    LoadSaliency,
    LoadWSLImage,
    PackWSLInputs,
)
from mmwsl.proposals import (
    ProposalGenerator,
    write_proposal_list,
    write_proposals,
)
from mmwsl.pseudo_labels.attention import write_attention
from mmwsl.registry import TRANSFORMS
from mmwsl.structures import Proposals, WSLDataSample


def load(path, **kwargs):
    return LoadWSLImage(**kwargs)(dict(img_path=str(path)))


def test_colours_and_turning(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise[..., ::-1]).save(tmp_path / 'a.png', exif=exif)
    results = load(tmp_path / 'a.png', exif_orientation=False)
    assert np.array_equal(results['img'], noise)
    assert results['img_shape'] == results['ori_shape'] == (24, 32)
    turned = load(tmp_path / 'a.png')
    assert turned['ori_shape'] == (32, 24)
    assert turned['exif_orientation'] == 6


def test_twelve_bits_of_a_file_and_a_picture(tmp_path):
    path = tmp_path / 'a.png'
    picture = Image.fromarray(np.full((9, 9), 2048, np.uint16))
    picture.save(path)
    transform = TRANSFORMS.build(dict(type='LoadWSLImage', max_value=4095))
    for img in (None, picture):
        info = dict(img_path=str(path), img_id='a', img=img)
        assert transform(info)['img'][4, 4].tolist() == [128] * 3
    for wrong in (0, 65536):
        with pytest.raises(ValueError, match='max_value must be between'):
            LoadWSLImage(max_value=wrong)


def test_image_that_is_there_passes_through():
    img = np.zeros((3, 5, 3), dtype=np.uint8)
    results = LoadWSLImage()(dict(img=img, img_path=''))
    assert results['img'] is img
    assert results['ori_shape'] == (3, 5)


def test_one_pixel(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(
        ValueError,
        match='a.png: image is 1 x 1 pixels, at least 8 x 8 are needed',
    ):
        load(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png', min_size=1)['img'].shape == (1, 1, 3)
    cv2.imwrite(str(tmp_path / 'b.png'), np.zeros((9, 7, 3), np.uint8))
    with pytest.raises(ValueError, match='b.png: image is 7 x 9 pixels'):
        load(tmp_path / 'b.png')


def test_registered_beside_the_transforms_of_mmcv():
    for name in ('LoadWSLImage', 'Resize', 'RandomFlip', 'Pad', 'CenterCrop'):
        assert TRANSFORMS.get(name) is not None
    assert 'min_size=8' in repr(TRANSFORMS.build(dict(type='LoadWSLImage')))


def test_saliency_of_another_size(tmp_path):
    (tmp_path / 'x').mkdir()
    picture = Image.fromarray(np.zeros((3, 2), dtype=np.uint8))
    picture.save(tmp_path / 'x' / 'a.png')
    transform = LoadSaliency(str(tmp_path))
    with pytest.raises(
        ValueError, match=r'x/a.png: saliency map is 2 x 3 .* a.jpg is 3 x 2'
    ):
        transform(dict(img_id='x/a', img_path='a.jpg', ori_shape=(2, 3)))


MASKS = np.array(
    [[[1, 0, 0], [0, 0, 0]], [[1, 1, 1], [0, 0, 1]], [[0, 0, 0], [0, 1, 0]]],
    dtype=bool,
)


def load_proposals(folder, shape=(2, 3), **kwargs):
    transform = LoadProposals(str(folder), **kwargs)
    return transform(dict(img_id='x/a', img_path='a.jpg', ori_shape=shape))


@pytest.fixture
def folder(tmp_path):
    proposals = Proposals(MASKS, [0.2, 0.9, 0.5])
    write_proposals(str(tmp_path / 'x' / 'a.npz'), proposals)
    return tmp_path


def test_best_proposals_first(folder):
    proposals = load_proposals(folder)['proposals']
    np.testing.assert_array_equal(proposals.masks, MASKS[[1, 2, 0]])
    proposals = load_proposals(folder, max_proposals=2)['proposals']
    np.testing.assert_array_equal(proposals.masks, MASKS[[1, 2]])
    with pytest.raises(ValueError, match='max_proposals must be at least 1'):
        LoadProposals('x', max_proposals=0)


def test_suffix_and_list(folder):
    proposals = Proposals(MASKS)
    write_proposals(str(folder / 'x' / 'a_cob.json'), proposals)
    found = load_proposals(folder, suffix='_cob.json')['proposals']
    np.testing.assert_array_equal(found.masks, MASKS)
    write_proposal_list(str(folder / 'all.json'), {'x/a': proposals[1:]})
    found = load_proposals(folder / 'all.json')['proposals']
    np.testing.assert_array_equal(found.masks, MASKS[1:])


def test_proposals_of_another_size(folder):
    with pytest.raises(
        ValueError, match=r'x/a.npz: proposals are 3 x 2 .* a.jpg is 2 x 3'
    ):
        load_proposals(folder, shape=(3, 2))


def test_packed_as_they_are(folder):
    results = load_proposals(folder)
    results.update(
        img=np.zeros((8, 8, 3), np.uint8),
        gt_label=[0],
        num_classes=1,
        saliency=np.ones((2, 3), np.float32),
    )
    sample = PackWSLInputs()(results)['data_samples']
    assert sample.proposals.masks.shape == (3, 2, 3)
    assert sample.saliency.data.shape == (1, 2, 3)


@pytest.fixture
def image():
    """A bright square on a dark ground."""
    image = np.full((40, 60, 3), 30, np.uint8)
    image[10:30, 20:45] = (200, 180, 40)
    return image


@pytest.mark.slow
def test_proposals_are_those_of_the_generator(image):
    transform = TRANSFORMS.build(dict(type='MakeProposals', max_proposals=20))
    results = dict(img=image, ori_shape=(40, 60), img_id='a')
    made = transform(results)['proposals']
    expected = ProposalGenerator(max_proposals=20)(image)
    assert made.size == (40, 60)
    np.testing.assert_array_equal(made.masks, expected.masks)
    square = np.zeros((40, 60), bool)
    square[10:30, 20:45] = True
    ious = [(m & square).sum() / (m | square).sum() for m in made.masks]
    assert max(ious) > 0.9


@pytest.mark.parametrize('change', [dict(flip=True), dict(ori_shape=(80, 60))])
def test_a_changed_image_is_refused(image, change):
    transform = TRANSFORMS.build(dict(type='MakeProposals'))
    results = dict(img=image, ori_shape=(40, 60), img_id='a/b')
    results.update(change)
    with pytest.raises(ValueError, match='a/b: MakeProposals must come bef'):
        transform(results)


def test_settings_are_checked():
    with pytest.raises(ValueError, match='max_proposals'):
        TRANSFORMS.build(dict(type='MakeProposals', max_proposals=0))


def load_attention(path, img_id='x/1', labels=(2,), direction=None):
    transform = TRANSFORMS.build(dict(type='LoadAttention', path=str(path)))
    metainfo = dict(img_id=img_id, flip_direction=direction)
    sample = WSLDataSample(metainfo=metainfo).set_gt_label(list(labels), 5)
    return transform(dict(data_samples=sample))['data_samples'].attention.data


@pytest.fixture
def attention(tmp_path):
    maps = {
        2: np.array([[0.0, 0.5], [0.25, 1.0]], np.float32),
        0: np.ones((2, 2), np.float32),
    }
    write_attention(str(tmp_path / 'a.npz'), {'x/1': maps})
    return tmp_path / 'a.npz'


def test_maps_in_the_order_of_the_labels(attention):
    maps = load_attention(attention, labels=(2, 0))
    assert maps.tolist() == [[[0.0, 0.5], [0.25, 1.0]], [[1, 1], [1, 1]]]
    assert load_attention(attention, 'not there', ()).shape == (0, 2, 2)


@pytest.mark.parametrize(
    ('direction', 'want'),
    [
        ('horizontal', [[0.5, 0.0], [1.0, 0.25]]),
        ('vertical', [[0.25, 1.0], [0.0, 0.5]]),
        ('diagonal', [[1.0, 0.25], [0.5, 0.0]]),
    ],
)
def test_flips_follow_the_image(attention, direction, want):
    assert load_attention(attention, direction=direction)[0].tolist() == want


def test_what_is_missing(attention, tmp_path):
    with pytest.raises(ValueError, match='no attention of x/2'):
        load_attention(attention, 'x/2')
    with pytest.raises(ValueError, match='class 4 of x/1'):
        load_attention(attention, labels=(2, 4))
    with pytest.raises(FileNotFoundError, match='AttentionAccumulationHook'):
        load_attention(tmp_path / 'none.npz')
    write_attention(str(tmp_path / 'empty.npz'), {})
    with pytest.raises(ValueError, match='at all'):
        load_attention(tmp_path / 'empty.npz')
    transform = TRANSFORMS.build(
        dict(type='LoadAttention', path=str(attention))
    )
    with pytest.raises(ValueError, match='after PackWSLInputs'):
        transform(dict(img=None))
