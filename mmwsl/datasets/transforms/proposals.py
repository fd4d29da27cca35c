"""Load object proposals, or make them."""

from typing import Any, Dict, Optional

from mmcv.transforms import BaseTransform

from mmwsl.proposals import ProposalGenerator, ProposalList, read_proposals
from mmwsl.registry import TRANSFORMS
from mmwsl.utils.files import join_inside


@TRANSFORMS.register_module()
class LoadProposals(BaseTransform):
    """Load the proposals of an image from ``folder/img_id.npz``.

    They keep the size of the original image whatever happens to the image:
    instances are retrieved at that size.

    Required keys: ``img_id``, ``ori_shape``. Added key: ``proposals``, a
    :class:`mmwsl.structures.Proposals`, best first.

    Args:
        folder (str, optional): Where the files are; or one ``.json`` file
            with the proposals of all images, which every worker reads whole
            (``convert_proposals.py`` splits it up). With None they are made
            of the image, which must not be resized yet.
        suffix (str): What follows the image's id, with any of the endings
            ``.npz``, ``.npy``, ``.json`` and ``.mat``; see
            :func:`mmwsl.proposals.read_proposals`.
        max_proposals (int, optional): How many of the best to keep.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is broken, empty, without proposals, or has another
            size than the image.
    """

    def __init__(
        self,
        folder: Optional[str],
        suffix: str = '.npz',
        max_proposals: Optional[int] = None,
    ) -> None:
        if max_proposals is not None and max_proposals < 1:
            raise ValueError(
                'LoadProposals: max_proposals must be at least 1, got '
                f'{max_proposals}'
            )
        self.folder = folder
        self.suffix = suffix
        self.max_proposals = max_proposals
        self._list: Optional[ProposalList] = None
        self._generator = ProposalGenerator()

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``proposals`` to ``results``."""
        img_id = results['img_id']
        if self.folder is None:
            place, proposals = 'image', self._generator(results['img'])
        elif self.folder.endswith('.json'):
            self._list = self._list or ProposalList(self.folder)
            place, proposals = self.folder, self._list.read(img_id)
        else:
            place = join_inside(self.folder, img_id, self.suffix, links=True)
            proposals = read_proposals(place)
        height, width = results['ori_shape'][:2]
        if proposals.size != (height, width):
            name = results.get('img_path') or img_id
            raise ValueError(
                f'{place}: proposals are {proposals.size[1]} x '
                f'{proposals.size[0]} pixels, but the image {name} is '
                f'{width} x {height}'
            )
        results['proposals'] = proposals[: self.max_proposals]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(folder={self.folder!r}, '
            f'suffix={self.suffix!r}, max_proposals={self.max_proposals})'
        )
