import numpy as np

from mmwsl.visualization import heatmap_overlay


def test_hot_places_are_red_and_cold_ones_keep_the_image():
    image = np.full((4, 4, 3), 100, np.uint8)
    heat = np.array([[1.0, 0.0], [0.0, 0.0]])
    result = heatmap_overlay(image, heat, strength=0.5)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    # Jet ends at RGB (128, 0, 0), half of it over half of the image.
    np.testing.assert_allclose(result[0, 0], [114, 50, 50], atol=1)
    # It starts at (0, 0, 128), of which a quarter is seen.
    np.testing.assert_allclose(result[3, 3], [75, 75, 107], atol=1)
    assert (image == 100).all()


def test_values_outside_and_nan_are_clipped():
    image = np.zeros((1, 3, 3), np.uint8)
    wild = heatmap_overlay(image, np.array([[-5.0, 7.0, np.nan]]))
    tame = heatmap_overlay(image, np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(wild, tame)
