import json

import pytest

from mmwsl.pipeline.summary import (
    Row,
    clock,
    number_text,
    shared_metrics,
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
        ['stage', 'kind', 'state', 'time', 'mIoU', 'mAP', 'other metrics'],
        ['net', 'train', 'kept', '1:02:05', '', '70.00', 'loss 0.1235'],
        ['maps', 'test', 'done', '0:00:05', '40.00', '71.23', ''],
        ['labels', 'tool', 'done', '0:00:01', '-', '', 'images 20'],
        ['seg', 'train', 'failed', '-', '', '', ''],
        ['all', '', '', '1:02:11', '', '', ''],
    ]
    content = json.loads((tmp_path / 'summary.json').read_text())
    assert content['seconds'] == 3731.4
    assert content['stages'][1]['metrics'] == {'mAP': 71.234, 'mIoU': 40.0}
    assert content['stages'][3]['seconds'] is None


def test_columns():
    rows = [Row('a', 'tool', 'done', 1.0, dict.fromkeys('abcdef', 1.0))] * 2
    assert shared_metrics(rows) == ['a', 'b', 'c', 'd']
    alone = rows[0]._replace(metrics={'x': 1.0, 'mIoU': 2.0})
    assert shared_metrics([alone]) == ['mIoU']


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
