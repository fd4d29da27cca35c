_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
