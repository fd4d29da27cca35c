_base_ = 'sgd_20e.py'
max_epochs = 300
param_scheduler = [dict(type='StepLR', step_size=50, gamma=0.5, by_epoch=True)]
train_cfg = dict(max_epochs=max_epochs)
