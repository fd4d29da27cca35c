# NSROM from image labels and saliency maps to the second segmentor:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_vgg16_voc12.py
data_root = 'data/VOCdevkit/VOC2012'
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data_root}/SaliencyMaps'
classes = (
    'aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,'
    'dog,horse,motorbike,person,pottedplant,sheep,sofa,train,tvmonitor'
)
common = {'data_root': '{data_root}'}
# Masks judge the stages; none of them learns from masks, nor from copies.
truth = '--truth={data_root}/SegmentationClass'
evaluate = dict(
    masks='{data_root}/SegmentationClass', classes='{classes}', split='train'
)
seeds = [
    '{data_root}/SegmentationClass',
    '--classes={classes}',
    # Not all images of trainaug have masks.
    '--list={data_root}/ImageSets/Segmentation/train.txt',
    '--out={dir}/metrics.json',
]
# Or vgg16, which is DeepLab-LargeFOV.
segmentor = 'r101'
stages = [
    dict(
        name='generated',
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=['{data_root}/JPEGImages', '{dir}/maps', '--num-workers=8'],
        optional=True,
    ),
    dict(
        name='classifier',
        run='train',
        config='cls_vgg16_voc12.py',
        cfg_options=common,
    ),
    dict(
        name='cam_val',
        run='test',
        config='cls_vgg16_voc12.py',
        checkpoint='{classifier.checkpoint}',
        cfg_options=common,
    ),
    dict(
        name='cams',
        run='test',
        config='cams_vgg16_voc12.py',
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
        config='oa_vgg16_voc12.py',
        cfg_options={
            **common,
            'attention': '{classifier.dir}/attention.npz',
        },
    ),
    dict(
        name='oa_cam_val',
        run='test',
        config='oa_vgg16_voc12.py',
        checkpoint='{integral.checkpoint}',
        cfg_options={
            **common,
            'attention': '{classifier.dir}/attention.npz',
        },
    ),
    dict(
        name='oa_cams',
        run='test',
        config='oa-cams_vgg16_voc12.py',
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
        name='segmentor_1',
        run='train',
        config='seg_{segmentor}_voc12.py',
        cfg_options={**common, 'labels': '{mined.dir}/labels'},
    ),
    dict(
        name='segmentor_1_val',
        run='test',
        config='seg_{segmentor}_voc12.py',
        checkpoint='{segmentor_1.checkpoint}',
        cfg_options=common,
    ),
    dict(
        name='predictions',
        run='test',
        config='seg-predict_{segmentor}_voc12.py',
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
            '{truth}',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='segmentor_2',
        run='train',
        config='seg_{segmentor}_voc12.py',
        cfg_options={**common, 'labels': '{masked.dir}/labels'},
    ),
    # What the second segmentor sees in the training images.
    dict(
        name='predictions_2',
        run='test',
        config='seg-predict_{segmentor}_voc12.py',
        checkpoint='{segmentor_2.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='segmentor_2_val',
        run='test',
        config='seg_{segmentor}_voc12.py',
        checkpoint='{segmentor_2.checkpoint}',
        cfg_options=common,
    ),
]
page = dict(number=6)
