import numpy as np

from mmwsl.utils.tables import format_table, percent


def test_table_is_aligned():
    rows = [('cat', 3, 0.5), ('tvmonitor', 12, float('nan'))]
    assert format_table(('class', 'n', 'AP'), rows).splitlines() == [
        '+-----------+----+-------+',
        '| class     |  n |    AP |',
        '+-----------+----+-------+',
        '| cat       |  3 | 50.00 |',
        '| tvmonitor | 12 |     - |',
        '+-----------+----+-------+',
    ]


def test_percent():
    assert percent(1 / 3) == 33.33
    assert np.isnan(percent(float('nan')))
