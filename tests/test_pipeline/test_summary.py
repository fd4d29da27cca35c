import json

import pytest

from mmwsl.pipeline.page import (
    Row,
    clock,
    number_text,
    summary_cells,
    write_summary,
)

ROWS = [
    Row('net', 'train', 'kept', 3725.4, {'loss': 0.12345, 'mAP': 70.0}),
    Row('maps', 'test', 'done', 5.0, {'mAP': 71.234, 'mIoU': 40.0}),
    Row('labels', 'tool', 'done', 1.0, {'mIoU': None, 'images': 20}),
    Row('seg', 'train', 'failed', None, {}),
]


def test_table(tmp_path):
    table = write_summary(str(tmp_path), ROWS)
    assert (tmp_path / 'summary.txt').read_text() == table + '\n'
    cells = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table.splitlines()
        if line.startswith('|')
    ]
    assert cells == [
        ['stage', 'kind', 'state', 'time', 'mIoU', 'mAP'],
        ['net', 'train', 'kept', '1:02:05', '', '70.00'],
        ['maps', 'test', 'done', '0:00:05', '40.00', '71.23'],
        ['labels', 'tool', 'done', '0:00:01', '-', ''],
        ['seg', 'train', 'failed', '-', '', ''],
        ['all', '', '', '1:02:11', '', ''],
    ]
    assert table.splitlines()[-2:] == ['net: loss 0.1235', 'labels: images 20']
    assert summary_cells(ROWS)[1][-1] == 'loss 0.1235'
    content = json.loads((tmp_path / 'summary.json').read_text())
    assert content['seconds'] == 3731.4
    assert content['stages'][1]['metrics'] == {'mAP': 71.234, 'mIoU': 40.0}
    assert content['stages'][3]['seconds'] is None


def test_many_metrics_take_several_lines(tmp_path):
    metrics = {f'metric_{number}': 1.0 for number in range(20)}
    rows = [Row('erase', 'train', 'done', 1.0, metrics)]
    lines = write_summary(str(tmp_path), rows).splitlines()
    assert max(map(len, lines)) <= 79
    text = ' '.join(line.strip() for line in lines[-5:])
    assert text.endswith('metric_18 1, metric_19 1')


def test_columns():
    rows = [Row('a', 'tool', 'done', 1.0, dict.fromkeys('abcdef', 1.0))] * 2
    assert summary_cells(rows)[0][4:-1] == ['a', 'b', 'c', 'd']
    alone = rows[0]._replace(metrics={'x': 1.0, 'mIoU': 2.0})
    assert summary_cells([alone])[0][4:-1] == ['mIoU']


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (None, '-'),
        (3, '3'),
        (12.345, '12.35'),
        (0.5, '0.5'),
        (12345.6, '12346'),
    ],
)
def test_numbers(value, text):
    assert number_text(value) == text


def test_clock():
    assert clock(59.6) == '0:01:00'
    assert clock(None) == '-'
