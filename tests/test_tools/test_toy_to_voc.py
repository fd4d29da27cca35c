import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets import ToyDataset, VOCImageLevelDataset

PIPELINE = [
    dict(type='LoadWSLImage'),
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]


def read(root, split, **kwargs):
    return VOCImageLevelDataset(
        data_root=str(root),
        ann_file=f'ImageSets/Segmentation/{split}.txt',
        metainfo=dict(classes=str(root / 'classes.txt')),
        test_mode=True,
        pipeline=PIPELINE,
        **kwargs,
    )


@pytest.mark.slow
def test_what_is_written_is_read_back_exactly(tool, tmp_path, capsys):
    root = tmp_path / 'toy'
    options = ['--train', '6', '--val', '3', '--seed', '5', '--png']
    assert tool.main([str(root), *options]) == 0
    assert 'VOCImageLevelDataset' in capsys.readouterr().out
    for split, number, seed in (('train', 6, 5), ('val', 3, 6)):
        toy = ToyDataset(number, seed=seed, test_mode=True, pipeline=PIPELINE)
        voc = read(root, split)
        assert len(voc) == number
        assert voc.classes == toy.classes
        for ours, theirs in zip(toy, voc):
            assert (ours['inputs'] == theirs['inputs']).all()
            ours, theirs = ours['data_samples'], theirs['data_samples']
            assert ours.gt_count.tolist() == theirs.gt_count.tolist()
            assert ours.gt_label.tolist() == theirs.gt_label.tolist()
            assert (ours.gt_sem_seg.data == theirs.gt_sem_seg.data).all()
            for key in ('labels', 'bboxes', 'masks', 'difficult'):
                assert (
                    ours.gt_instances[key] == theirs.gt_instances[key]
                ).all()
        for index in range(number):
            name = toy.get_data_info(index)['img_id'].replace('/', '_')
            path = root / 'SegmentationBody' / f'{name}.png'
            with Image.open(path) as picture:
                body = np.array(picture)
            expected = toy.get_data_info(index)['eval_ann']['body_seg_map']
            assert (body == expected).all()
        # The boxes of the XML are those of the masks.
        for index in range(number):
            boxes = voc.get_data_info(index)['eval_ann']['boxes']
            masks = voc[index]['data_samples'].gt_instances
            assert boxes.tolist() == masks.bboxes.tolist()


def test_jpeg_and_saliency(tool, tmp_path):
    root = tmp_path / 'toy'
    tool.main([str(root), '--train', '1', '--val', '0'])
    data = read(root, 'train')
    info = data.get_data_info(0)
    assert info['img_path'].endswith('JPEGImages/toy_0_000000.jpg')
    toy = ToyDataset(1, pipeline=[dict(type='PackWSLInputs')])
    error = data[0]['inputs'].int() - toy[0]['inputs'].int()
    assert error.abs().float().mean() < 12
    load = dict(type='LoadSaliency', folder=str(root / 'SaliencyMaps'))
    data = read(root, 'train', indices=1)
    data.pipeline = ToyDataset(1, pipeline=[PIPELINE[0], load]).pipeline
    saliency = data[0]['saliency']
    mask = ToyDataset(1, test_mode=True)[0]['eval_ann']['seg_map'] > 0
    assert np.mean((saliency > 0.5) == mask) > 0.97
    assert not (root / 'ImageSets' / 'Main' / 'val.txt').exists()


def test_folders_with_files_are_refused(tool, tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(SystemExit) as stop:
        tool.main([str(tmp_path), '--train', '1'])
    assert stop.value.code == 1
    assert 'is there already' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'new'), '--train', '0', '--val', '0'])
    assert 'nothing to write' in capsys.readouterr().err


def test_overwriting(tool, tmp_path, capsys):
    root = tmp_path / 'toy'
    options = [str(root), '--train', '2', '--val', '0', '--png']
    assert tool.main(options) == 0
    with pytest.raises(SystemExit):
        tool.main(options)
    assert 'is there already' in capsys.readouterr().err
    # As if a run had been killed.
    (tmp_path / '.toy.tmp' / 'JPEGImages').mkdir(parents=True)
    (root / 'JPEGImages' / 'old.png').write_bytes(b'')
    assert tool.main([*options, '--overwrite']) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['toy']
    assert len(list((root / 'JPEGImages').iterdir())) == 2
    (root / 'thesis.txt').write_text('mine')
    with pytest.raises(SystemExit):
        tool.main([*options, '--overwrite'])
    assert 'more than toy data' in capsys.readouterr().err
    assert (root / 'thesis.txt').is_file()
