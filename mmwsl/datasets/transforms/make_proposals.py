"""Making object proposals in the pipeline."""

from typing import Any, Dict

from mmcv.transforms import BaseTransform

from mmwsl.proposals import ProposalGenerator
from mmwsl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MakeProposals(BaseTransform):
    """Make the proposals of an image when it is loaded.

    For images that are seen once or twice, or that have no file, as those of
    ``ToyDataset``. Where they are seen more often, make files once with
    ``tools/dataset_converters/make_proposals.py`` and use ``LoadProposals``.

    It belongs behind the image's loading and before anything that changes
    its size or mirrors it: proposals are those of the original image.

    Required keys: ``img``, ``ori_shape``. Added key: ``proposals``, a
    :class:`mmwsl.structures.Proposals`, best first.

    Args:
        **settings: Those of :class:`mmwsl.proposals.ProposalGenerator`.

    Raises:
        ValueError: If the image has been resized, cropped or flipped before,
            or a setting is out of range.
    """

    def __init__(self, **settings: Any) -> None:
        self.generator = ProposalGenerator(**settings)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``proposals`` to ``results``."""
        image = results['img']
        if image.shape[:2] != tuple(results['ori_shape'][:2]) or results.get(
            'flip'
        ):
            raise ValueError(
                f'{results.get("img_path") or results["img_id"]}: '
                'MakeProposals must come before the image is resized, '
                'cropped or flipped'
            )
        results['proposals'] = self.generator(image)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.generator.parameters})'
