import numpy as np
import pytest
from PIL import Image

from tool_calls import call, error, fails, metrics


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / 'maps/a/1.png', [[255, 204, 51, 0]])
    save(tmp_path / 'maps/2.png', [[102, 0]])
    save(tmp_path / 'other/a/1.png', [[204, 128, 127, 0]])
    save(tmp_path / 'other/2.png', [[255, 0]])
    save(tmp_path / 'masks/a/1.png', [[7, 7, 255, 0]])
    save(tmp_path / 'masks/2.png', [[0, 3]])
    return tmp_path


def save(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, np.uint8)).save(path)


def run(tool, folder, *args):
    return metrics(tool, folder, folder / 'maps', *args)


def test_against_maps(tool, folder, capsys):
    found = run(tool, folder, folder / 'other')
    assert 'images: 2, all in' in capsys.readouterr().out
    first = (51 + 76 + 76 + 0) / 255 / 4
    second = 153 / 255 / 2
    assert found['MAE'] == pytest.approx(50 * (first + second), abs=0.01)
    # What reaches 102 / 255 is exactly what is bright in the others.
    assert found['maxF'] == 100
    assert found['IoU'] == 100
    assert found['F_threshold'] == pytest.approx(52 / 255, abs=1e-3)


def test_against_masks(tool, folder):
    found = run(tool, folder, folder / 'masks', '--masks')
    # Errors of 0, 51 and 0, the ignored pixel left out; then of 102 and 255.
    expected = 50 * ((51 / 3) + (357 / 2)) / 255
    assert found['MAE'] == pytest.approx(expected, abs=0.01)
    # Recall is 1 and 0 above 102, precision 1 and 0; at 0 it is 1 and 1 with
    # a precision of 2/3 and 1/2.
    assert found['maxF'] == pytest.approx(
        100 * 1.3 * (7 / 12) / (0.3 * (7 / 12) + 1), abs=0.01
    )
    assert found['F_threshold'] == 0
    assert found['IoU'] == pytest.approx(200 / 3, abs=0.01)


def test_a_list(tool, folder, capsys):
    (folder / 'list.txt').write_text('a/1.png\n')
    listed = run(tool, folder, folder / 'other', '--list', folder / 'list.txt')
    assert 'images: 1' in capsys.readouterr().out
    assert listed['MAE'] == pytest.approx(100 * 203 / 255 / 4, abs=0.01)
    (folder / 'list.txt').write_text('\n')
    args = [folder / 'maps', folder / 'other', '--list', folder / 'list.txt']
    assert 'list.txt: names no image' in fails(tool, capsys, *args)
    (folder / 'list.txt').write_text('a/1\na/9\n')
    assert 'first is a/9' in fails(tool, capsys, *args)


def test_errors(tool, folder, capsys):
    assert call(tool, folder / 'maps', folder / 'no') == 1
    assert 'no: folder does not exist' in error(capsys.readouterr())
    save(folder / 'other/2.png', [[0, 0, 0]])
    line = fails(tool, capsys, folder / 'maps', folder / 'other')
    assert '2.png: saliency map is 2 x 1 pixels, but ' in line
    assert line.endswith('is 3 x 1')
    (folder / 'other/2.png').unlink()
    assert call(tool, folder / 'maps', folder / 'other') == 1
    assert '2.png: saliency map does not exist' in error(capsys.readouterr())
