# AE-PSL on PASCAL VOC 2012, as published:
# python tools/pipeline.py configs/ae_psl/pipeline_ae-psl_vgg16_voc12.py
_base_ = ['../_base_/pipelines/ae_psl.py', '../_base_/pipelines/voc_data.py']
net = 'vgg16_voc12'
data_root = 'data/VOCdevkit/VOC2012'
num_workers = 8
again = dict(_delete_=True)
psl_plus_labels_from = '{psl_labels.dir}/labels'
stages = dict(kept=None, kept_all_pixels=None)
