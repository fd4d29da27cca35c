# From image labels to a segmentor without saliency: a classifier, its class
# maps, which a CRF makes label maps, and a segmentor that learns these.
_base_ = '_first.py'
net = 'own-data'
segment = dict(weights='{classifier.checkpoint}')
cam = 'cam/cam_{net}.py'
stages = dict(
    generated=None,
    classifier=dict(run='train', config=cam, cfg_options='{common}'),
    maps=dict(
        run='predict',
        config=cam,
        checkpoint='{classifier.checkpoint}',
        cfg_options='{common}',
        evaluate='{dir}/labels',
        pictures=dict(maps='{dir}/maps', labels='{dir}/labels'),
    ),
    segmentor=dict(
        run='train',
        config='nsrom/seg_{net}.py',
        cfg_options=[
            '{common}',
            '{segment}',
            dict(labels='{maps.dir}/labels'),
        ],
    ),
)
