# AE-PSL on the images of 2007 in PASCAL VOC 2012's segmentation sets:
# python tools/pipeline.py configs/ae_psl/pipeline_ae-psl_mobilenet-v2_voc12-2007.py
_base_ = ['../_base_/pipelines/ae_psl.py', '../_base_/pipelines/voc_data.py']
weights = 'weights/mobilenet_v2_imagenet.pth'
common = dict(weights='{weights}')
# PSL begins with the first classifier's weights.
segment = dict(weights='{erase.dir}/step_1.pth')
again = {'train_cfg.max_epochs': 10, 'param_scheduler.0.end': 10}
