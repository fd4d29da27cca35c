import numpy as np
import pytest
from PIL import Image

from mmwsl.evaluation.functional.background_masks import background_masks

SIZE = (40, 70)


def test_known_answer():
    # The mean is 2; columns between the cells are mixed.
    maps = np.array([[[1.0, 3.0]], [[3.0, 1.0]]])
    masks = background_masks(maps, (1, 4), bg_factor=0.75)
    # 1, 1.5, 2.5, 3: below 1.5 is the first alone.
    assert masks.tolist() == [
        [[True, False, False, False]],
        [[False, False, False, True]],
    ]
    assert background_masks(maps[:0], SIZE).shape == (0, *SIZE)


def test_rejects_other_resizes_and_nan():
    with pytest.raises(ValueError, match='map_resize must be one of'):
        background_masks(np.ones((1, 2, 2)), SIZE, resize='cubic')
    with pytest.raises(ValueError, match='hold NaN'):
        background_masks(np.full((1, 2, 2), np.nan), SIZE)


def test_released_response_maps_are_pictures():
    grid = np.random.default_rng(0).normal(size=(1, 5, 7)) - 9
    mask = background_masks(grid, SIZE, 0.95, 'released')[0]
    scaled = (grid[0] - grid.min()) / (grid.max() - grid.min()) * 255
    picture = Image.fromarray((scaled + 0.5).astype(np.uint8))
    image = np.asarray(picture.resize((70, 40), Image.BICUBIC)).astype(float)
    np.testing.assert_array_equal(mask, image < 0.95 * image.mean())
    # Only the order of values counts there, not where zero is.
    np.testing.assert_array_equal(
        mask, background_masks(grid + 20, SIZE, 0.95, 'released')[0]
    )
    constant = np.ones((1, 2, 2))
    assert not background_masks(constant, SIZE, 0.95, 'released').any()
