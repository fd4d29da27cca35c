import numpy as np

from mmwsl.datasets.toy_textures import (
    NUM_FAMILIES,
    NUM_PATTERNS,
    texture_bank,
)


def test_bank_is_the_same_each_time_and_varied():
    bank = texture_bank(64)
    assert texture_bank(64) is bank
    assert bank.bodies.shape == (NUM_FAMILIES, 64, 64)
    assert bank.patterns.shape == (NUM_PATTERNS, 64, 64)
    assert set(np.unique(bank.patterns)) == {0, 255}
    for tile in (*bank.clouds, *bank.bodies):
        assert tile.std() > 15
    # Sensor noise has no bias.
    assert abs(bank.grain.mean()) < 0.5


def test_clouds_are_smooth_and_grain_is_not():
    bank = texture_bank(64)

    def roughness(tile):
        steps = np.diff(tile.astype(np.int64), axis=0)
        return np.abs(steps).mean() / tile.std()

    assert roughness(bank.clouds[0]) < 0.5
    assert roughness(bank.grain[..., 0]) > 1
