_base_ = [
    '../_base_/models/cam_efficientnet-lite0.py',
    '../_base_/datasets/voc12-2007_320.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
