"""Tests of errors that say which file is broken."""

import pytest

from mmwsl.proposals.errors import naming


@pytest.mark.parametrize(
    ('raised', 'message'),
    [
        (ValueError('at place: gone'), 'at place: gone'),
        (ValueError('gone\n  far'), 'place: gone far'),
        (KeyError('id'), "place: KeyError: 'id'"),
        (MemoryError('no room'), 'place: MemoryError: no room'),
    ],
)
def test_errors_name_the_place(raised, message) -> None:
    with pytest.raises(ValueError) as error, naming('place'):
        raise raised
    assert str(error.value) == message


def test_errors_of_the_machine_stay() -> None:
    with pytest.raises(PermissionError), naming('place'):
        raise PermissionError('no')
