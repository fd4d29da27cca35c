import json

import pytest

from mmwsl.pipeline.running import stage_metrics


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lines(*entries):
    return '\n'.join(json.dumps(entry) for entry in entries) + '\n'


def test_training_over_attempts(tmp_path):
    scalars = '{}/vis_data/scalars.json'.format
    write(
        tmp_path / scalars('20260101_000000'),
        lines({'lr': 1, 'loss': 3.0, 'epoch': 1}, {'mAP': 1.0, 'mIoU': 2.0})
        + '{"lr": 0.1, "lo',
    )
    write(
        tmp_path / scalars('20260101_000001'),
        lines(
            {'lr': 1, 'loss': 2.0, 'memory': 7},
            {'mAP': 5.0, 'data_time': 1, 'time': 1, 'step': 4},
            {'labelled': 60.5, 'name': 'x', 'flag': True},
            {'lr': 1, 'loss': 1.0},
        ),
    )
    assert stage_metrics(str(tmp_path), 'train') == {
        'loss': 1.0,
        'mAP': 5.0,
        'mIoU': 2.0,
        'labelled': 60.5,
    }


def test_the_last_test_counts(tmp_path):
    for number, value in enumerate((1.0, float('nan'))):
        stamp = f'20260101_00000{number}'
        text = json.dumps({'mIoU': value, 'time': 2.0})
        write(tmp_path / stamp / f'{stamp}.json', text)
    assert stage_metrics(str(tmp_path), 'test') == {'mIoU': None}


def test_tools_and_evaluation(tmp_path):
    assert stage_metrics(str(tmp_path), 'tool') == {}
    write(tmp_path / 'metrics.json', '{"boxes": 3, "mIoU": 1, "time": 2}')
    write(tmp_path / 'evaluation.json', '{"mIoU": 50.5, "mRecall": null}')
    assert stage_metrics(str(tmp_path), 'tool') == {
        'tool/mIoU': 1,
        'boxes': 3,
        'mIoU': 50.5,
        'time': 2,
        'mRecall': None,
    }


def test_names_of_two_sources(tmp_path):
    scores = tmp_path / '20260101_000000/vis_data/scalars.json'
    write(scores, lines({'mIoU': 20.0, 'mAP': 1.0}))
    write(tmp_path / 'evaluation.json', '{"mIoU": 50.5}')
    assert stage_metrics(str(tmp_path), 'train') == {
        'mIoU': 50.5,
        'mAP': 1.0,
        'val/mIoU': 20.0,
    }


@pytest.mark.parametrize('text', ['[1]', '{"a": "b"}', '{"a": {}}', '{'])
def test_bad_metrics_name_the_file(tmp_path, text):
    write(tmp_path / 'metrics.json', text)
    with pytest.raises(ValueError, match=r'^\S*metrics.json: '):
        stage_metrics(str(tmp_path), 'tool')
