import cv2
import numpy as np
import pytest

from tool_calls import fails as failure
from tool_calls import metrics

METADATA = {
    'image_ids.txt': 'x/a.jpg\nx/b.jpg\n',
    'class_labels.txt': 'x/a.jpg,0\nx/b.jpg,1\n',
    'image_sizes.txt': 'x/a.jpg,10,8\nx/b.jpg,5,4\n',
    # The pixels 1 to 2 of 5, seen at twice the size in the first image.
    'localization.txt': 'x/a.jpg,2,2,6,6\nx/b.jpg,1,1,3,3\n',
}
MASKS = 'x/a.jpg,1.png,ignore.png\nx/b.jpg,1.png,\n'
BLOB = np.zeros((4, 5), np.float32)
BLOB[1:3, 1:3] = 1


@pytest.fixture
def folder(tmp_path):
    def write(name, text):
        (tmp_path / 'metadata').mkdir(exist_ok=True)
        (tmp_path / 'metadata' / name).write_text(text)

    for item in METADATA.items():
        write(*item)
    (tmp_path / 'maps' / 'x').mkdir(parents=True)
    for name in ('a.jpg.npy', 'b.npy'):
        np.save(tmp_path / 'maps' / 'x' / name, BLOB)
    tmp_path.joinpath('scores.csv').write_text('x/a,0.1,0.9\nx/b,0.1,0.9\n')
    return tmp_path, write


def run(tool, folder, *args, size=0):
    root = folder[0]
    given = [root / 'maps', '--metadata', root / 'metadata', '--size', size]
    return metrics(tool, root, *given, *args)


def fails(tool, folder, capsys, *args):
    root = folder[0]
    given = [root / 'maps', '--metadata', root / 'metadata', '--size', 0]
    return failure(tool, capsys, *given, *args)


def test_boxes(tool, folder, capsys):
    found = run(tool, folder, '--scores', folder[0] / 'scores.csv')
    assert found['MaxBoxAccV2'] == found['GT-known Loc'] == 100
    assert found['Top-1 Loc'] == 50
    assert 'PxAP' not in found
    assert '| largest' in capsys.readouterr().out
    assert run(tool, folder, size=224)['MaxBoxAcc'] == 100


def test_masks(tool, folder, capsys):
    root, write = folder
    write('localization.txt', MASKS)
    (root / 'metadata' / 'image_sizes.txt').unlink()
    masks = root / 'masks'
    masks.mkdir()
    cv2.imwrite(str(masks / '1.png'), np.kron(BLOB, np.ones((56, 45))) * 255)
    cv2.imwrite(str(masks / 'ignore.png'), np.full((80, 100), 255))
    given = ('--masks', masks)
    found = run(tool, folder, *given, size=224)
    assert 75 < found['pIoU'] < 100
    # The ignore region left nothing but objects in the first image.
    cv2.imwrite(str(masks / 'ignore.png'), np.zeros((80, 100)))
    assert run(tool, folder, *given, size=224)['pIoU'] < found['pIoU']
    capsys.readouterr()
    (masks / 'ignore.png').unlink()
    line = fails(tool, folder, capsys, *given)
    assert 'localization.txt: line 1: names the mask' in line


def test_truth_of_a_config(tool, folder, repo_root):
    root = folder[0]
    config = repo_root / 'configs' / '_base_' / 'datasets' / 'toy_wsol.py'
    options = ['--cfg-options', 'test_dataloader.dataset.num_images=2']
    (root / 'toy').mkdir()
    for number in range(2):
        path = root / 'toy' / 'toy' / '1000' / f'{number:06d}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.ones((224, 224)))
    given = [root / 'toy', '--config', config]
    found = metrics(tool, root, *given, *options)
    # Every pixel is predicted: precision and IoU are the objects' share.
    assert 0 < found['PxAP'] < 60
    assert 0 < found['pIoU'] < 60
    assert 'MaxBoxAcc' in found


@pytest.mark.parametrize(
    ('plane', 'message'),
    [
        (BLOB * 1.5, 'x/b: score map must be in [0, 1] without NaN, got 0..1'),
        (BLOB * np.nan, 'x/b: score map must be in [0, 1] without NaN'),
        (np.zeros((2, 4, 5)), 'expected a map (H, W), found (2, 4, 5)'),
        (BLOB.astype(str), 'expected a map of real numbers, found <U32'),
        (BLOB * 1j, 'expected a map of real numbers, found complex64'),
        (BLOB.astype(object), 'or a pickle, which can run any code'),
    ],
)
def test_bad_maps_name_the_file(tool, folder, capsys, plane, message):
    np.save(folder[0] / 'maps' / 'x' / 'b.npy', plane)
    line = fails(tool, folder, capsys)
    assert line.startswith(f'error: {folder[0]}/maps/x/b.npy: ')
    assert message in line
    assert '--allow-pickle' not in line


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        (
            'localization.txt',
            'x/a.jpg,2,2,11,6\nx/b.jpg,1,1,3,3\n',
            'localization.txt: line 1: box (2, 2, 11, 6) is outside',
        ),
        (
            'localization.txt',
            'x/a.jpg,2,2,1,6\nx/b.jpg,1,1,3,3\n',
            'localization.txt: line 1: box (2, 2, 1, 6) is inverted',
        ),
        (
            'localization.txt',
            MASKS,
            'localization.txt: line 1: names the mask',
        ),
        ('localization.txt', 'x/a.jpg,2,2,3,6', 'txt: no line of x/b.jpg'),
        (
            'class_labels.txt',
            'x/a.jpg,1',
            'txt has no label of x/b.jpg',
        ),
        ('image_sizes.txt', 'x/a.jpg,10,8', 'sizes.txt: no line of x/b.jpg'),
        (
            'class_labels.txt',
            'x/a.jpg,1\nx/b.jpg,2',
            'line 2: label 2 of x/b',
        ),
        ('image_ids.txt', 'x/a.jpg\nx/c.jpg', 'has no label of x/c.jpg'),
    ],
)
def test_bad_metadata(tool, folder, capsys, name, text, message):
    folder[1](name, text)
    scores = ('--scores', folder[0] / 'scores.csv')
    assert message in fails(tool, folder, capsys, *scores)


def test_label_that_is_no_class(tool, folder, capsys):
    folder[1]('class_names.txt', 'cat\n')
    line = fails(tool, folder, capsys)
    assert 'labels.txt: line 2: label 1 of x/b.jpg is not in 0..0' in line


def test_boxes_over_the_border_can_be_kept(tool, folder):
    folder[1]('localization.txt', 'x/a.jpg,2,2,6,9\nx/b.jpg,1,1,3,3\n')
    assert run(tool, folder, '--keep-outside-boxes')['MaxBoxAcc'] == 100


def test_missing_and_double_maps(tool, folder, capsys):
    path = folder[0] / 'maps' / 'x' / 'b.npy'
    np.save(folder[0] / 'maps' / 'x' / 'b.jpg.npy', BLOB)
    assert 'is of the same image' in fails(tool, folder, capsys)
    (folder[0] / 'maps' / 'x' / 'b.jpg.npy').unlink()
    path.unlink()
    line = fails(tool, folder, capsys)
    assert 'no map of 1 of 2 images, the first is x/b' in line


@pytest.mark.parametrize('kind', ['>f4', '>f8', 'i1', '?'])
def test_kinds_of_numbers(tool, folder, kind):
    np.save(folder[0] / 'maps' / 'x' / 'b.npy', BLOB.astype(kind))
    assert run(tool, folder)['MaxBoxAcc'] == 100


@pytest.mark.parametrize('truth', ['x/a.jpg,2,2,6,6\nx/b.jpg,1,1,3,3', MASKS])
def test_label_without_a_score(tool, folder, capsys, truth):
    folder[1]('class_labels.txt', 'x/a.jpg,2\nx/b.jpg,0')
    folder[1]('localization.txt', truth)
    scores = ('--scores', folder[0] / 'scores.csv')
    line = fails(tool, folder, capsys, *scores)
    assert 'labels.txt: line 1: label 2 of x/a.jpg is not in 0..1' in line
