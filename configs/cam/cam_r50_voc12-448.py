_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/voc12_448.py',
    '../_base_/schedules/sgd_15e.py',
    '../_base_/default_runtime.py',
]
