"""The demo on own images: pictures, scores, and images that are broken."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from export_readers import read_coco, read_yolo
from mmwsl.apis import inference, init_model
from mmwsl.apis.inference import list_images, output_names
from mmwsl.structures import WSLDataSample
from tool_calls import call, error, fails
from toy_run import CONFIG
from untrained import favour_fifth_class


@pytest.fixture
def folder(tmp_path):
    """Three images, one in a folder of its own, and a file of text."""
    root = tmp_path / 'images'
    (root / 'sub').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('b.png', 'sub/c.bmp', 'a.jpg'):
        image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(root / name), image)
    (root / 'notes.txt').write_text('no image')
    return root


def pictures(path):
    return sorted(
        p.relative_to(path).as_posix() for p in path.rglob('*') if p.is_file()
    )


def test_folder(tool, toy_checkpoint, folder, tmp_path, capsys):
    out = tmp_path / 'out'
    args = [folder, CONFIG, toy_checkpoint, '--out-dir', out, '--device']
    assert call(tool, *args, 'cpu', '--labels', 'emu', '0') == 0
    assert pictures(out) == ['a.jpg', 'b.jpg', 'sub/c.jpg']
    printed = capsys.readouterr().out
    for number, name in enumerate(('a.jpg', 'b.png', 'sub/c.bmp'), 1):
        line = f'[{number}/3] {folder / name}: '
        (scores,) = [
            text[len(line) :].split(', ')
            for text in printed.splitlines()
            if text.startswith(line)
        ]
        assert {score.split()[0] for score in scores} == {'ant', 'emu'}
    assert f'3 pictures are in {out}' in printed
    # The input, the label map and two heat maps lie side by side.
    height, width = cv2.imread(str(out / 'a.jpg')).shape[:2]
    assert width > 3 * height


def test_export(tool, toy_checkpoint, folder, tmp_path, capsys):
    """A broken image is left out; names that differ in suffixes are kept."""
    (folder / 'b.bmp').write_bytes((folder / 'sub/c.bmp').read_bytes())
    (folder / 'a.jpg').write_bytes(b'')
    args = [folder, CONFIG, toy_checkpoint, '--device', 'cpu']
    args += ['--out-dir', tmp_path / 'out', '--labels', 'ant']
    for kind in ('coco', 'yolo-segment'):
        args += ['--export', kind, folder / kind]
    assert call(tool, *args) == 1
    files = ['b.bmp', 'b.png', 'sub/c.bmp']
    found = read_coco(folder / 'coco')
    assert sorted(found) == files
    assert all(name == 'ant' for x in found.values() for name, *_ in x)
    names = ['b_bmp.bmp', 'b_png.png', 'sub/c.bmp']
    lines = read_yolo(folder / 'yolo-segment')
    assert sorted(lines) == names
    for file, name in zip(files, names):
        assert len(found[file]) == len(lines[name])
    assert f'{folder / "coco"}: coco, 3 images' in capsys.readouterr().out


def test_broken_images_do_not_stop_it(
    tool, toy_checkpoint, folder, tmp_path, capsys
):
    out = tmp_path / 'out'
    (folder / 'a.jpg').write_bytes(b'')
    content = (folder / 'b.png').read_bytes()
    (folder / 'b.png').write_bytes(content[: len(content) // 2])
    args = [folder, CONFIG, toy_checkpoint, '--out-dir', out]
    assert call(tool, *args, '--device', 'cpu') == 1
    assert pictures(out) == ['sub/c.jpg']
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-2:] == [
        f'error: {folder}/a.jpg: image file is empty',
        f'error: {folder}/b.png: truncated PNG (no end chunk)',
    ]
    assert 'Traceback' not in printed.err
    assert '1 pictures are in' in printed.out


def test_unknown_label_is_told_at_once(
    tool, toy_checkpoint, folder, tmp_path, capsys
):
    out = tmp_path / 'out'
    args = [folder, CONFIG, toy_checkpoint, '--out-dir', out]
    message = fails(tool, capsys, *args, '--labels', 'emu', 'yak')
    assert "'yak' is not among the model's classes: ant, bee" in message
    assert not out.exists()


def test_empty_folder(tool, tmp_path, capsys):
    assert call(tool, tmp_path, CONFIG, 'none.pth') == 1
    assert 'the folder holds no image' in error(capsys.readouterr())


def test_names_of_pictures(folder):
    out = folder / 'out'
    out.mkdir()
    for name in ('a.png', 'out/old.jpg', 'd.e.JPG'):
        (folder / name).write_bytes((folder / 'a.jpg').read_bytes())
    images = list_images(folder, [out])
    found = [path.relative_to(folder).as_posix() for path in images]
    # Pictures of an earlier call are no images, and a.jpg and a.png differ.
    assert dict(zip(found, output_names(images))) == {
        'a.jpg': 'a_jpg',
        'a.png': 'a_png',
        'b.png': 'b',
        'd.e.JPG': 'd.e',
        'sub/c.bmp': 'sub/c',
    }
    # One by one they do not replace each other, either.
    assert output_names([folder / 'b.png']) == ['b']
    assert output_names([folder / 'a.jpg']) == ['a_jpg']
    (folder / 'a_png.gif').write_bytes((folder / 'a.jpg').read_bytes())
    with pytest.raises(ValueError, match='a_png'):
        output_names(list_images(folder, [out]))


def test_description_of_scores(tool):
    sample = WSLDataSample()
    sample.set_pred_score([0.25, 0.5, 0.75])
    sample.pred_map_labels = torch.tensor([0, 2])
    assert tool.describe(sample, 'xyz') == 'z 0.75, x 0.25'
    assert tool.describe(sample, ()) == 'class 2 0.75, class 0 0.25'
    sample.pred_map_labels = torch.tensor([], dtype=torch.long)
    assert tool.describe(sample, 'xyz') == 'nothing predicted, best z 0.75'


def test_description_of_counts_and_instances(tool):
    sample = WSLDataSample()
    sample.set_pred_score([0.25, 0.75]).set_pred_count([0, 3])
    sample.pred_map_labels = torch.tensor([1])
    sample.pred_instances = InstanceData(labels=torch.tensor([1, 1]))
    text = 'b 0.75 (count 3); 2 instances'
    assert tool.describe(sample, 'ab') == text
    sample.pred_instances = sample.pred_instances[:1]
    assert tool.describe(sample, 'ab').endswith('; 1 instance')


def test_labels_of_the_command_line(tool):
    assert tool.as_label('cat', ['cat']) == 'cat'
    assert tool.as_label('7', ['cat']) == 7
    assert tool.as_label('7', ['7', 'cat']) == '7'


def test_device_is_what_there_is(tool, folder, tmp_path, monkeypatch):
    devices = []

    def init_model(config, checkpoint, device, options):
        devices.append(device)
        return SimpleNamespace(dataset_meta={}, cfg=None)

    monkeypatch.setattr(inference, 'init_model', init_model)
    monkeypatch.setattr(inference, 'get_device', lambda: 'npu')
    out = str(tmp_path / 'out')
    for extra in ([], ['--device', 'cuda:1']):
        args = [str(folder), CONFIG, 'none.pth', '--out-dir', out, *extra]
        call(tool, *args)
    assert devices == ['npu', 'cuda:1']


@pytest.mark.slow
def test_segmentor(tool, folder, tmp_path, capsys):
    config = CONFIG.replace('cam/cam', 'ae_psl/psl')
    options = {'model.backbone.init_cfg': None}
    model = init_model(config, cfg_options=options)
    favour_fifth_class(model)
    checkpoint = tmp_path / 'segmentor.pth'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    args = [folder / 'a.jpg', config, checkpoint, '--device', 'cpu']
    args += ['--cfg-options', 'model.decode_head.weighted_test=False']
    assert call(tool, *args, '--out-dir', tmp_path / 'out') == 0
    assert pictures(tmp_path / 'out') == ['a.jpg']
    assert 'a.jpg: emu 100 %' in capsys.readouterr().out
