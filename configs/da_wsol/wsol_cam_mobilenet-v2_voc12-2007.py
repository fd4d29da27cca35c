_base_ = [
    '../_base_/models/wsol_mobilenet-v2.py',
    '../_base_/datasets/voc12-2007_wsol.py',
    '../_base_/schedules/adamw_wsol-8e.py',
    '../_base_/default_runtime.py',
]
