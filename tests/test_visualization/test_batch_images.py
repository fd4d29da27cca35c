import numpy as np
import pytest
import torch

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import batch_images, input_image


def sample(**meta):
    return WSLDataSample(metainfo=meta)


def image_tensor(height=4, width=6):
    """Blue in the left half, red in the right one, as BGR."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0, :, : width // 2] = 250
    image[2, :, width // 2 :] = 250
    return image


def is_blue_left(image):
    return image[0, 0].tolist() == [0, 0, 250] and (
        image[0, -1].tolist() == [250, 0, 0]
    )


@pytest.mark.parametrize('stacked', [False, True])
def test_bgr_inputs_become_rgb_images(stacked):
    inputs = [image_tensor(), image_tensor()]
    inputs = torch.stack(inputs) if stacked else inputs
    outputs = [sample(ori_shape=(4, 6)), sample(ori_shape=(8, 12))]
    images = batch_images({'inputs': inputs}, outputs)
    assert [x.shape for x in images] == [(4, 6, 3), (8, 12, 3)]
    assert all(x.dtype == np.uint8 and is_blue_left(x) for x in images)


def test_padding_is_cut_and_flip_undone():
    padded = torch.zeros(3, 8, 8, dtype=torch.uint8)
    padded[:, :4, :6] = image_tensor().flip(-1)
    one = sample(
        ori_shape=(4, 6),
        img_shape=(4, 6),
        flip=True,
        flip_direction='horizontal',
    )
    image = batch_images({'inputs': [padded], 'data_samples': [one]}, [one])[0]
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image)


def test_unflipped_view_of_augmented_inputs():
    views = [[image_tensor().flip(-1)], [image_tensor(8, 12)]]
    samples = [
        [sample(flip=True, flip_direction='horizontal', img_shape=(4, 6))],
        [sample(flip=False, img_shape=(8, 12))],
    ]
    batch = {'inputs': views, 'data_samples': samples}
    image = batch_images(batch, [sample(ori_shape=(4, 6))])[0]
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image)


def test_grey_and_float_inputs():
    grey = torch.full((1, 2, 2), 300.0)
    image = batch_images({'inputs': [grey]}, [sample()])[0]
    assert image.tolist() == [[[255] * 3] * 2] * 2


def test_input_as_the_network_sees_it():
    padded = torch.zeros(3, 8, 8, dtype=torch.uint8)
    padded[:, :4, :6] = image_tensor().flip(-1)
    one = sample(
        ori_shape=(40, 60),
        img_shape=(4, 6),
        flip=True,
        flip_direction='horizontal',
    )
    image = input_image(padded, one)
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image[:, ::-1])
