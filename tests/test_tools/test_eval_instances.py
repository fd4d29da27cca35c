import json

import numpy as np
import pytest

from tool_calls import fails as failure
from tool_calls import metrics

CONFIG = (
    "test_dataloader = dict(dataset=dict(type='ToyDataset', num_images=3, "
    "image_size=48, pipeline=[dict(type='Missing')]))\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'config.py').write_text(CONFIG)
    return tmp_path


def run_lengths(mask):
    """Uncompressed run lengths of COCO, in column-major order."""
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    ends = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], ends, [mask.size]]))
    return {'size': list(mask.shape), 'counts': counts.tolist()}


def true_results(tool, folder):
    """The ground truth as results, and the dataset."""
    dataset = tool.config_dataset(
        str(folder / 'config.py'),
        'test',
        keys=['gt_instances'],
        with_masks=True,
    )
    results = []
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        for label, mask in zip(
            sample.gt_instances.labels.tolist(),
            sample.gt_instances.masks.numpy(),
        ):
            results.append(
                dict(
                    image_id=sample.img_id,
                    category_id=label,
                    segmentation=run_lengths(mask),
                    score=0.5,
                )
            )
    return results, dataset


def run(tool, folder, results, *args):
    (folder / 'results.json').write_text(json.dumps(results))
    arguments = [folder / 'results.json', '--config', folder / 'config.py']
    return metrics(tool, folder, *arguments, *args)


def fails(tool, folder, capsys, results, *args):
    (folder / 'results.json').write_text(json.dumps(results))
    arguments = [folder / 'results.json', '--config', folder / 'config.py']
    return failure(tool, capsys, *arguments, *args)


def test_the_truth_is_perfect(tool, folder, capsys):
    results, dataset = true_results(tool, folder)
    assert run(tool, folder, results) == {
        'mAP_r@0.25': 100,
        'mAP_r@0.50': 100,
        'mAP_r@0.75': 100,
        'ABO': 100,
    }
    # Names instead of indices, and file names instead of ids.
    for result in results:
        label = result['category_id']
        result['category_id'] = dataset.metainfo['classes'][label]
        result['image_id'] += '.jpg'
    assert run(tool, folder, results, '--thresholds', '0.9') == {
        'mAP_r@0.90': 100,
        'ABO': 100,
    }
    assert run(tool, folder, results, '--masks', 'single')['ABO'] > 0


def test_missing_and_extra_images(tool, folder, capsys):
    results, _ = true_results(tool, folder)
    first = results[0]['image_id']
    kept = [x for x in results if x['image_id'] == first]
    extra = {**kept[0], 'image_id': 'elsewhere'}
    found = run(tool, folder, [*kept, extra])
    assert 0 < found['mAP_r@0.50'] < 100
    printed = capsys.readouterr().out
    assert '1 images of' in printed
    assert '2 of 3 images have no result' in printed


def test_ids_of_an_annotation_file(tool, folder):
    results, dataset = true_results(tool, folder)
    classes = dataset.metainfo['classes']
    ids = sorted({x['image_id'] for x in results})
    content = dict(
        images=[
            dict(id=7 + i, file_name=f'{x}.png') for i, x in enumerate(ids)
        ],
        categories=[
            dict(id=90 - i, name=name) for i, name in enumerate(classes)
        ],
    )
    (folder / 'ann.json').write_text(json.dumps(content))
    for result in results:
        result['image_id'] = 7 + ids.index(result['image_id'])
        result['category_id'] = 90 - result['category_id']
    given = ('--ann-file', folder / 'ann.json')
    assert run(tool, folder, results, *given)['ABO'] == 100


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'category_id': 6}, 'result 0: category 6 is no class'),
        ({'category_id': 'unicorn'}, "category 'unicorn' is no class"),
        ({'score': None}, 'score'),
        (
            {'segmentation': {'size': [2, 2], 'counts': [4]}},
            'mask is 2 x 2 pixels, but its image is 48 x 48',
        ),
    ],
)
def test_bad_results_are_one_line(tool, folder, capsys, change, message):
    results, _ = true_results(tool, folder)
    results[0].update(change)
    line = fails(tool, folder, capsys, results)
    assert line.startswith(f'error: {folder}/results.json')
    assert message in line


def test_files_that_are_no_results(tool, folder, capsys):
    assert 'is no list of results' in fails(tool, folder, capsys, {})
    line = fails(tool, folder, capsys, [{'image_id': 1}])
    assert "result 0 has no 'category_id'" in line
    given = ('--ann-file', folder / 'ann.json')
    assert 'ann.json: file does not' in fails(tool, folder, capsys, [], *given)
    (folder / 'ann.json').write_text('{"images": []}')
    line = fails(tool, folder, capsys, [], *given)
    assert 'expected images with id and file_name' in line
