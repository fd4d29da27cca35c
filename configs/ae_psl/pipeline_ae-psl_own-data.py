# AE-PSL on own images, see docs/own_data.md: python tools/pipeline.py \
#     mmwsl::ae_psl/pipeline_ae-psl_own-data.py --cfg-options data_root=DIR
_base_ = ['../_base_/pipelines/ae_psl.py', '../_base_/pipelines/own_data.py']
net = 'own-data'
final_config = 'ae_psl/psl_own-data.py'
final_checkpoint = '{psl_plus.checkpoint}'
left_out = 'regions all_pixels psl_val kept_all_pixels psl_plus_val'
left_out += ' psl_plus_labels'
stages = dict(dict.fromkeys(left_out.split()), results=_base_.results)
