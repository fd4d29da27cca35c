"""Tests of label maps on disk."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmwsl.pseudo_labels.label_files import write_label_map
from mmwsl.utils.images import read_index_mask

LABEL = np.array([[0, 1, 15], [20, 255, 2]], np.uint8)


def test_indices_and_colours_of_voc(tmp_path):
    path = tmp_path / 'a' / 'b.png'
    write_label_map(str(path), LABEL)
    np.testing.assert_array_equal(read_index_mask(str(path)), LABEL)
    colours = np.array(Image.open(path).convert('RGB'))
    assert colours[0, 1].tolist() == [128, 0, 0]
    assert colours[0, 2].tolist() == [192, 128, 128]
    assert colours[1, 1].tolist() == [224, 224, 192]
    assert [p.name for p in path.parent.iterdir()] == ['b.png']


@pytest.mark.parametrize('label', [LABEL.astype(np.int64), LABEL[None]])
def test_something_else(tmp_path, label):
    with pytest.raises(ValueError, match=r'a\.png: a label map is uint8'):
        write_label_map(str(tmp_path / 'a.png'), label)


def test_can_be_the_first_import():
    code = 'import mmwsl.pseudo_labels.label_files'
    subprocess.run([sys.executable, '-c', code], check=True)
