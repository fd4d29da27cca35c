# NSROM on own images, see docs/own_data.md: python tools/pipeline.py \
#     mmwsl::nsrom/pipeline_nsrom_own-data.py --cfg-options data_root=DIR
_base_ = ['../_base_/pipelines/nsrom.py', '../_base_/pipelines/own_data.py']
net = 'own-data'
final_config = 'nsrom/seg_own-data.py'
final_checkpoint = '{segmentor_2.checkpoint}'
mask_options = ['--saliency-threshold=0.125', '--keep-ignored']
again = dict(load_from='{segmentor_1.checkpoint}')
left_out = (
    'cam_val cam_saliency oa_cam_val initial_all_pixels mined_all_pixels'
)
left_out += ' segmentor_1_val masked_all_pixels predictions_2 segmentor_2_val'
stages = dict(dict.fromkeys(left_out.split()), results=_base_.results)
