import pytest

from mmwsl.datasets.label_lists import csv_lines, is_number, parse_labels


def test_lines_have_their_numbers(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('path,label\n\n a.jpg , cat|dog \n"b, c.jpg",\n,,\n')
    assert list(csv_lines(str(path), 'list')) == [
        (3, ['a.jpg', 'cat|dog']),
        (4, ['b, c.jpg', '']),
    ]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.csv: list does not'):
        list(csv_lines(str(tmp_path / 'none.csv'), 'list'))


@pytest.mark.parametrize(
    ('cells', 'expected'),
    [
        (['a', 'cat'], [('cat', None)]),
        (
            ['a', 'cat| dog', '', 'cow'],
            [(x, None) for x in ['cat', 'dog', 'cow']],
        ),
        (['a', ''], [('', None)]),
        (['a', 'cat', '3'], [('cat', 3)]),
        (['a', 'cat', '0'], [('cat', 0)]),
        (['a', 'cat', 'dog'], [('cat', None), ('dog', None)]),
    ],
)
def test_labels_and_counts(cells, expected):
    assert parse_labels('list.csv: line 1', cells) == expected


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        (['a'], '1 column, expected path,label'),
        (['a', 'cat', '-1'], "count '-1' is not a whole number"),
        (['a', 'cat', '1e3'], "count '1e3' is not a whole number"),
        (['a', '', '2'], 'a count without class'),
    ],
)
def test_broken_lines(cells, message):
    with pytest.raises(ValueError, match=f'^list.csv: line 1: {message}'):
        parse_labels('list.csv: line 1', cells)


def test_numbers():
    assert [is_number(x) for x in ('1', '-2.5', 'nan', 'cat', '')] == [
        True,
        True,
        True,
        False,
        False,
    ]
