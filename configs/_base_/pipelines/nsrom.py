# NSROM from image labels and saliency maps to the second segmentor. Pipelines
# add what is known of the data, as voc_data.py or own_data.py beside this file;
# stages=dict(NAME=None) leaves a stage out.
_base_ = '_first.py'
net = 'mobilenet-v2_voc12-2007'
segmentor_net = '{net}'
# What segmentors begin with: with few images, what the classifier has learned.
segment = dict(weights='{classifier.checkpoint}')
# What is new where the second one begins.
again = dict()
# Not all images that stages label have masks.
seeds = [
    '{masks}',
    '--classes={classes}',
    '--list={data_root}/ImageSets/Segmentation/train.txt',
    '--out={dir}/metrics.json',
]
mask_options = []
attention = dict(attention='{classifier.dir}/attention.npz')
# What several stages say.
cam = dict(config='nsrom/cls_{net}.py', checkpoint='{classifier.checkpoint}')
oa_cam = dict(config='nsrom/oa_{net}.py', checkpoint='{integral.checkpoint}')
seg = 'nsrom/seg_{segmentor_net}.py'
seg_1 = dict(
    config=seg, checkpoint='{segmentor_1.checkpoint}', cfg_options='{common}'
)
seg_2 = dict(seg_1, checkpoint='{segmentor_2.checkpoint}')
# Trainings end with the scores on the validation images, without a CRF, which
# the tests of segmentors have.
stages = dict(
    classifier=dict(
        run='train', config='nsrom/cls_{net}.py', cfg_options='{common}'
    ),
    cam_val=dict(run='test', **cam, cfg_options='{common}'),
    cams=dict(
        run='predict', **cam, cfg_options='{common}', pictures='{dir}/maps'
    ),
    cam_saliency=dict(
        **_base_.judge,
        args=[
            '{cams.dir}/maps',
            '{seeds}',
            '--background=saliency',
            '--saliency={saliency}',
        ],
    ),
    integral=dict(
        run='train',
        config='nsrom/oa_{net}.py',
        cfg_options=['{common}', '{attention}'],
    ),
    oa_cam_val=dict(
        run='test', **oa_cam, cfg_options=['{common}', '{attention}']
    ),
    oa_cams=dict(
        run='predict', **oa_cam, cfg_options='{common}', pictures='{dir}/maps'
    ),
    initial=dict(
        **_base_.label_maps,
        args=['initial', '{oa_cams.dir}/maps', '{saliency}', '{dir}/labels'],
    ),
    initial_all_pixels=dict(
        **_base_.judge,
        args=['{initial.dir}/labels', '{seeds}', '--ignored=wrong'],
    ),
    mined=dict(
        **_base_.label_maps,
        args=[
            'mine',
            '{cams.dir}/maps',
            '{initial.dir}/labels',
            '{dir}/labels',
            '{truth}',
        ],
    ),
    mined_all_pixels=dict(
        **_base_.judge,
        args=['{mined.dir}/labels', '{seeds}', '--ignored=wrong'],
    ),
    segmentor_1=dict(
        run='train',
        config=seg,
        cfg_options=[
            '{common}',
            '{segment}',
            dict(labels='{mined.dir}/labels'),
        ],
    ),
    segmentor_1_val=dict(run='test', **seg_1),
    predictions=dict(run='predict', **seg_1, **_base_.made),
    masked=dict(
        **_base_.label_maps,
        args=[
            'mask',
            '{cams.dir}/maps',
            '{mined.dir}/labels',
            '{predictions.dir}/labels',
            '{saliency}',
            '{dir}/labels',
            '{mask_options}',
            '{truth}',
        ],
    ),
    masked_all_pixels=dict(
        **_base_.judge,
        args=['{masked.dir}/labels', '{seeds}', '--ignored=wrong'],
    ),
    segmentor_2=dict(
        run='train',
        config=seg,
        cfg_options=[
            '{common}',
            '{segment}',
            dict(labels='{masked.dir}/labels'),
            '{again}',
        ],
    ),
    # What the second segmentor sees in the training images.
    predictions_2=dict(run='predict', **seg_2, **_base_.made),
    segmentor_2_val=dict(run='test', **seg_2),
)
