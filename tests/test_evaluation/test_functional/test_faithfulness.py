import numpy as np
import pytest
import torch

from mmwsl.evaluation.functional.faithfulness import (
    explanation,
    faithfulness_scores,
    replacements,
)


def test_an_image_is_kept_where_its_map_is_high():
    image = torch.tensor([[[10.0, 20, 30]]] * 3)
    kept = explanation(
        image, image.new_tensor(2.0), torch.tensor([[1, 0.5, 0]])
    )
    torch.testing.assert_close(kept, torch.tensor([[[10.0, 11, 2]]] * 3))


@pytest.mark.parametrize('steps', [1, 3, 4, 12, 20])
def test_pixels_are_replaced_in_the_order_of_the_map(steps):
    rng = np.random.default_rng(0)
    # Many are equal: the first of these goes first.
    order = rng.integers(0, 4, (3, 4))
    start, end = torch.zeros(3, 3, 4), torch.ones(())
    places = sorted(np.ndindex(3, 4), key=lambda at: (-order[at], at))
    found = list(replacements(start, end, torch.tensor(order), steps))
    assert len(found) == steps + 1
    for step, image in enumerate(found):
        plain = torch.zeros(3, 3, 4)
        for row, column in places[: step * 12 // steps]:
            plain[:, row, column] = 1
        assert torch.equal(image, plain)
    assert found[0].sum() == 0
    assert found[-1].sum() == 36


def test_scores_of_maps_by_hand():
    curves = np.array([[0.8, 0.4, 0], [0.5, 0.5, 0.5], [0, 1, 1]])
    found = faithfulness_scores(
        np.array([0.8, 0.5, 0.0]),
        np.array([0.2, 0.6, 0.0]),
        curves,
        curves[:, ::-1],
    )
    # What never had a probability loses none.
    np.testing.assert_allclose(found['drop'], [0.75, 0, 0])
    np.testing.assert_allclose(found['increase'], [0, 1, 0])
    np.testing.assert_allclose(found['deletion'], [0.4, 0.5, 0.75])
    np.testing.assert_allclose(found['insertion'], [0.4, 0.5, 0.75])
