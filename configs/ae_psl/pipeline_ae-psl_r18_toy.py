# AE-PSL on toy pictures, which the first stage draws:
# python tools/pipeline.py configs/ae_psl/pipeline_ae-psl_r18_toy.py
_base_ = ['../_base_/pipelines/ae_psl.py', '../_base_/pipelines/voc_data.py']
net = 'r18_toy'
data_root = '{data.dir}/toy'
classes = 'ant,bee,cod,doe,emu,fox'
segment = dict(weights='{erase.dir}/step_1.pth')
again = {'train_cfg.max_epochs': 5, 'param_scheduler.0.total_steps': 5}
# Of all pixels.
psl_plus_label_options = {'predict.crf.min_probability': 0.0}
# The part of an object that does not give its class away.
region_masks = '{data_root}/SegmentationBody'
