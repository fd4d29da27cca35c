# NSROM on PASCAL VOC 2012, as published:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_vgg16_voc12.py
_base_ = ['../_base_/pipelines/nsrom.py', '../_base_/pipelines/voc_data.py']
net = 'vgg16_voc12'
# Or vgg16, which is DeepLab-LargeFOV.
segmentor = 'r101'
segmentor_net = '{segmentor}_voc12'
data_root = 'data/VOCdevkit/VOC2012'
num_workers = 8
segment = dict(_delete_=True)
stages = dict(
    initial_all_pixels=None, mined_all_pixels=None, masked_all_pixels=None
)
