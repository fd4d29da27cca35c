# NSROM on the images of 2007 in PASCAL VOC 2012's segmentation sets:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_mobilenet-v2_voc12-2007.py
_base_ = ['../_base_/pipelines/nsrom.py', '../_base_/pipelines/voc_data.py']
weights = 'weights/mobilenet_v2_imagenet.pth'
common = dict(weights='{weights}')
# These saliency maps are hardly anywhere 0; and with few images the first
# segmentor says little about pixels that were left out of its training, see
# the README.
mask_options = ['--saliency-threshold=0.125', '--keep-ignored']
# With few images the second segmentor had better go on from the first.
again = dict(load_from='{segmentor_1.checkpoint}')
stages = dict(segmentor_1_val=None, segmentor_2_val=None)
