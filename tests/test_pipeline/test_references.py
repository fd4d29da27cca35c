import pytest

from mmwsl.pipeline.stages import expand

VALUES = {'n': 3, 'root': '/data', 'one.dir': '/w/one', 'a-b': None}


def test_nested_values_and_types():
    given = {
        'whole': '{n}',
        'part': 'epoch_{n}.pth',
        'paths': ['{root}/x', ('{one.dir}', 4)],
        'nothing': '{a-b}',
        'flag': True,
    }
    assert expand(given, VALUES.__getitem__) == {
        'whole': 3,
        'part': 'epoch_3.pth',
        'paths': ['/data/x', ['/w/one', 4]],
        'nothing': None,
        'flag': True,
    }
    assert given['whole'] == '{n}'


@pytest.mark.parametrize('text', ['{', '{}', '{"n": 1}', '{0}', 'a}b{'])
def test_other_braces_stay(text):
    assert expand(text, VALUES.__getitem__) == text
