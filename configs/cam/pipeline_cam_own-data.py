# From own images with image labels to a segmentor, see docs/own_data.md:
# python tools/pipeline.py mmwsl::cam/pipeline_cam_own-data.py \
#     --cfg-options data_root=DIR
_base_ = ['../_base_/pipelines/cam.py', '../_base_/pipelines/own_data.py']
final_config = 'nsrom/seg_own-data.py'
final_checkpoint = '{segmentor.checkpoint}'
stages = dict(results=_base_.results)
