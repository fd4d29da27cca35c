# NSROM from image labels and saliency maps to the second segmentor:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_mobilenet-v2_voc12-2007.py
data_root = 'data/voc12_2007'
weights = 'weights/mobilenet_v2_imagenet.pth'
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data_root}/SaliencyMaps'
classes = 'voc'
common = {'data_root': '{data_root}', 'weights': '{weights}'}
# Masks judge the stages; none of them learns from masks, nor from copies.
truth = '--truth={data_root}/SegmentationClass'
evaluate = dict(
    masks='{data_root}/SegmentationClass', classes='{classes}', split='train'
)
seeds = [
    '{data_root}/SegmentationClass',
    '--classes={classes}',
    '--out={dir}/metrics.json',
]
# With few images segmentors begin with what the classifier has learned.
segment = {**common, 'weights': '{classifier.checkpoint}'}
segmentor = 'seg_mobilenet-v2_voc12-2007.py'
stages = [
    dict(
        name='generated',
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=['{data_root}/JPEGImages', '{dir}/maps', '--num-workers=2'],
        optional=True,
    ),
    dict(
        name='classifier',
        run='train',
        config='cls_mobilenet-v2_voc12-2007.py',
        cfg_options=common,
    ),
    dict(
        name='cam_val',
        run='test',
        config='cls_mobilenet-v2_voc12-2007.py',
        checkpoint='{classifier.checkpoint}',
        cfg_options=common,
    ),
    dict(
        name='cams',
        run='test',
        config='cams_mobilenet-v2_voc12-2007.py',
        checkpoint='{classifier.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        pictures='{dir}/maps',
    ),
    dict(
        name='cam_saliency',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=[
            '{cams.dir}/maps',
            *seeds,
            '--background=saliency',
            '--saliency={saliency}',
        ],
    ),
    dict(
        name='integral',
        run='train',
        config='oa_mobilenet-v2_voc12-2007.py',
        cfg_options={
            **common,
            'attention': '{classifier.dir}/attention.npz',
        },
    ),
    dict(
        name='oa_cam_val',
        run='test',
        config='oa_mobilenet-v2_voc12-2007.py',
        checkpoint='{integral.checkpoint}',
        cfg_options={
            **common,
            'attention': '{classifier.dir}/attention.npz',
        },
    ),
    dict(
        name='oa_cams',
        run='test',
        config='oa-cams_mobilenet-v2_voc12-2007.py',
        checkpoint='{integral.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        pictures='{dir}/maps',
    ),
    dict(
        name='initial',
        run='tool',
        tool='pseudo_labels.py',
        args=['initial', '{oa_cams.dir}/maps', '{saliency}', '{dir}/labels'],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='initial_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{initial.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='mined',
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'mine',
            '{cams.dir}/maps',
            '{initial.dir}/labels',
            '{dir}/labels',
            '{truth}',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='mined_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{mined.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='segmentor_1',
        run='train',
        config=segmentor,
        cfg_options={**segment, 'labels': '{mined.dir}/labels'},
    ),
    dict(
        name='predictions',
        run='test',
        config='seg-predict_mobilenet-v2_voc12-2007.py',
        checkpoint='{segmentor_1.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='masked',
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'mask',
            '{cams.dir}/maps',
            '{mined.dir}/labels',
            '{predictions.dir}/labels',
            '{saliency}',
            '{dir}/labels',
            # These maps are hardly anywhere 0.
            '--saliency-threshold=0.125',
            # With few images the first segmentor says little about pixels
            # that were left out of its training, see the README.
            '--keep-ignored',
            '{truth}',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='masked_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{masked.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='segmentor_2',
        run='train',
        config=segmentor,
        cfg_options={**segment, 'labels': '{masked.dir}/labels'},
    ),
    # What the second segmentor sees in the training images.
    dict(
        name='predictions_2',
        run='test',
        config='seg-predict_mobilenet-v2_voc12-2007.py',
        checkpoint='{segmentor_2.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
]
page = dict(number=6)
