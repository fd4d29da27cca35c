# NSROM on toy pictures, which the first stage draws:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_r18_toy.py
_base_ = ['../_base_/pipelines/nsrom.py', '../_base_/pipelines/voc_data.py']
net = 'r18_toy'
data_root = '{data.dir}/toy'
classes = 'ant,bee,cod,doe,emu,fox'
stages = dict(
    cam_val=None,
    oa_cam_val=None,
    segmentor_1_val=None,
    segmentor_2_val=None,
)
