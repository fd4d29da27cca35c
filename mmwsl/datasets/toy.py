"""Toy pictures of objects whose class shows in a small part alone."""

from collections import Counter
from dataclasses import replace
from typing import Any, Dict, List, Optional

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset, object_truth
from mmwsl.datasets.toy_drawing import ToyScene, ToyStyle, draw_scene, render
from mmwsl.datasets.voc import VOC_PALETTE
from mmwsl.registry import DATASETS
from mmwsl.utils.masks import boxes_of_masks

TOY_CLASSES = ('ant', 'bee', 'cod', 'doe', 'emu', 'fox', 'gnu', 'hen')


@DATASETS.register_module()
class ToyDataset(WSLDataset):
    """Pictures drawn from (seed, index): no files, no network.

    Up to ten objects of one to three classes lie on textured ground, partly
    over one another, 0 to 8 of a class. The class of an object shows in its
    head, 12 to 18 % of its area; its body's shape, hue and texture are
    shared by all classes but for a weak tendency. A plain classifier looks
    at heads, so its maps leave out the bodies.

    Entries hold the picture, ``img``, so pipelines need no loading (a
    ``LoadWSLImage`` passes it through). In test mode ``eval_ann`` has class
    masks, body masks (heads ignored), instance masks and boxes, all of what
    is visible.

    Args:
        num_images: Number of pictures.
        seed: Seed of the pictures and augmentations. Sets with different seeds
            have no picture in common.
        image_size: Height and width in pixels, at least 32.
        num_classes: 5 to 8.
        body_evidence: How much of a class a body gives away, from 0 to 1.
        empty_prob: Share of pictures without objects.
        style: Other constants of :class:`mmwsl.datasets.toy_drawing.ToyStyle`.
        **kwargs: Arguments of :class:`WSLDataset`.

    Example:
        >>> ToyDataset(num_images=4)[0]['img'].shape
        (112, 112, 3)
    """

    def __init__(
        self,
        num_images: int,
        seed: int = 0,
        image_size: int = 112,
        num_classes: int = 6,
        body_evidence: float = 0.3,
        empty_prob: float = 0.0,
        style: Optional[Dict[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        for name, value, low, high in (
            ('num_classes', num_classes, 5, len(TOY_CLASSES)),
            ('image_size', image_size, 32, 4096),
            ('num_images', num_images, 0, 10**6),
            ('body_evidence', body_evidence, 0, 1),
            ('empty_prob', empty_prob, 0, 1),
        ):
            if not low <= value <= high:
                raise ValueError(
                    f'ToyDataset: {name} must be from {low} to {high}, got '
                    f'{value}'
                )
        self.num_classes = num_classes
        self.num_images = num_images
        self.image_size = image_size
        self.style = replace(
            ToyStyle(),
            body_evidence=body_evidence,
            empty_prob=empty_prob,
            **(style or {}),
        )
        metainfo = dict(
            classes=TOY_CLASSES[:num_classes],
            palette=VOC_PALETTE[:num_classes],
        )
        super().__init__(seed=seed, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """List the numbers of the pictures, which are drawn when asked for."""
        return [
            dict(img_id=f'toy/{self.seed}/{i:06d}', img_path='', number=i)
            for i in range(self.num_images)
        ]

    def filter_data(self) -> List[DataInfo]:
        """Refuse filters: whether a picture is empty is a share to set."""
        if self.filter_cfg:
            raise ValueError(
                'ToyDataset has no filter_cfg; empty_prob=0 keeps empty '
                'pictures out'
            )
        return self.data_list

    def get_data_info(self, idx: int) -> DataInfo:
        """Draw one picture; see :class:`WSLDataset` for the keys."""
        stub = super().get_data_info(idx)
        scene, img = self._draw(stub['number'])
        counts = Counter(placed.item.label for placed in scene.objects)
        info = self._entry(
            stub['img_id'],
            '',
            labels=list(counts),
            counts=counts,
            eval_ann=_ground_truth(scene) if self.test_mode else None,
        )
        shape = (self.image_size, self.image_size)
        info.update(img=img, img_shape=shape, ori_shape=shape)
        info['sample_idx'] = stub['sample_idx']
        return info

    def _draw(self, number: int) -> Any:
        num_classes = self.num_classes
        key = np.random.SeedSequence([self.seed, number])
        rng = np.random.Generator(np.random.PCG64(key))
        scene = draw_scene(rng, self.style, num_classes, self.image_size)
        return scene, render(rng, scene, self.style, num_classes)


def _ground_truth(scene: ToyScene) -> Dict[str, Any]:
    """Return ``eval_ann``: the visible parts of all objects."""
    labels = np.array([p.item.label for p in scene.objects], dtype=np.int64)
    number_to_value = np.concatenate([[0], labels + 1]).astype(np.uint8)
    seg_map = number_to_value[scene.owner]
    body_seg_map = np.where(scene.part > 0, 255, seg_map).astype(np.uint8)
    numbers = np.arange(1, len(labels) + 1, dtype=np.uint8)
    masks = scene.owner[None] == numbers[:, None, None]
    return object_truth(
        labels,
        np.zeros(len(labels)),
        boxes_of_masks(masks),
        seg_map=seg_map,
        body_seg_map=body_seg_map,
        masks=masks,
    )
