"""Write ``docs/model_zoo.md``: all models that the metafiles list.

``python scripts/model_zoo.py``
"""

from pathlib import Path
from typing import Any, Dict, List

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'model_zoo.md'
HEAD = """\
<!-- made by scripts/model_zoo.py from the metafiles of configs/ -->
# Models

Each model is a config. It is trained and tested by

<!-- needs: data -->
```bash
python tools/train.py CONFIG --cfg-options data_root=DATA weights=WEIGHTS
python tools/test.py CONFIG CHECKPOINT \\
    --cfg-options data_root=DATA weights=WEIGHTS
```

with the options that the config has: toy pictures need no `data_root`,
training from scratch no `weights`. Figures are of the validation set, in
percent, counts in objects; the page of the method says how they were measured.
A config without figures was not trained to the end, or lets another one's
model predict (`cams_`, `-predict_`, `-instances_`). No trained weights have
been published yet.
"""


def figures(model: Dict[str, Any]) -> str:
    """Return all metrics of a model."""
    metrics: Dict[str, float] = {}
    for result in model.get('Results', ()):
        metrics.update(result['Metrics'])
    return ', '.join(f'{name} {value}' for name, value in metrics.items())


def section(content: Dict[str, Any]) -> List[str]:
    """Return the lines about the models of a metafile."""
    (about,) = content['Collections']
    paper, code = about['Paper'], about['Code']['URL']
    lines = [
        f'## {about["Name"]}',
        '',
        f'[{paper["Title"]}]({paper["URL"]}): '
        f'[how to use it](../{about["README"]}), [code](../{code})',
        '',
        '| config | trained on | figures |',
        '|---|---|---|',
    ]
    for model in content['Models']:
        link = f'[{model["Name"]}](../{model["Config"]})'
        data = model['Metadata']['Training Data']
        lines.append(f'| {link} | {data} | {figures(model)} |')
    return lines


def page() -> str:
    """Return the page."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text('utf-8'))
    lines = [HEAD]
    for path in index['Import']:
        content = yaml.safe_load((ROOT / path).read_text('utf-8'))
        lines += [*section(content), '']
    return '\n'.join(lines).rstrip() + '\n'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
