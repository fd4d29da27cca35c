_base_ = [
    '../_base_/models/wsol_r18.py',
    '../_base_/datasets/toy_wsol.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
