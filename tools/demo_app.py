"""Try a model on own pictures in the browser.

``python tools/demo_app.py CONFIG CHECKPOINT``
"""

import argparse
import base64
import html
import os
import threading
from pathlib import Path
from typing import Any, List, Sequence
from uuid import uuid4

from mmwsl.apis import ToolParser, WSLInferencer
from mmwsl.apis.demo import Demo
from mmwsl.apis.errors import error_line
from mmwsl.evaluation.exporting import FORMATS
from mmwsl.visualization.drawing import Tile

import cv2

parser = ToolParser('Try a model on own pictures in the browser')
parser.add_argument('config', help='config file')
parser.add_argument('checkpoint', help='checkpoint file')
parser.option(
    '--host',
    '127.0.0.1',
    'address to listen at; 0.0.0.0 lets other machines in, without a password',
)
parser.option('--port', 7860, 'port to listen at')
text = 'for example cpu or cuda:1; by default what is there'
parser.option('--device', None, text)
text = "where the slider of {} starts; by default the config's"
for name in ('background', 'score', 'ratio'):
    parser.option(f'--{name}', None, text.format(name), type=float)
parser.option(
    '--max-peaks', 16, 'how many peaks are followed back to the picture'
)
parser.cfg_options()

START = 'Drop a picture into the field, or click it to choose one.'
CSS = """
#page { display: grid; gap: 16px; align-items: start;
  grid-template: "file result" auto "settings result" 1fr / 300px 1fr; }
#file { grid-area: file; }
#settings { grid-area: settings; }
#result { grid-area: result; min-width: 0; gap: 4px; }
#status p { margin: 0 0 6px; font-size: 17px; }
#status .error { color: var(--error-text-color, #b91c1c); font-weight: 600; }
#status i { display: inline-block; width: 14px; height: 14px;
  border-radius: 3px; margin: 0 6px 0 0; vertical-align: -1px; }
#status span { margin-right: 16px; white-space: nowrap; }
.pictures { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.pictures figure { margin: 0; }
.pictures img { width: 100%; height: auto; display: block; margin: 0;
  border-radius: 6px; }
.pictures figcaption { padding-top: 4px; overflow-wrap: anywhere; }
@media (max-width: 760px) {
  #page { display: flex; flex-direction: column; align-items: stretch; }
  #result { order: 1; }
  #settings { order: 2; }
  #pictures { overflow-x: auto !important; scroll-snap-type: x mandatory; }
  .pictures { display: flex; }
  .pictures figure { flex: 0 0 86%; scroll-snap-align: start; }
}
"""


def import_gradio() -> Any:
    """Import gradio, which tells nobody of it."""
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio
    except ImportError as error:
        raise ValueError(
            'gradio is not installed: pip install mmwsl[demo].'
        ) from error
    return gradio


def jpeg(tile: Tile) -> bytes:
    """Encode the picture of a tile, its colours at full resolution."""
    flags = (cv2.IMWRITE_JPEG_QUALITY, 95)
    flags += (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
    return cv2.imencode('.jpg', tile.image[..., ::-1], flags)[1].tobytes()


def figures(tiles: Sequence[Tile]) -> str:
    """Return HTML that shows tiles, with their captions."""
    parts = []
    for tile in tiles:
        text = html.escape(tile.text)
        data = base64.b64encode(jpeg(tile)).decode()
        height, width = tile.image.shape[:2]
        parts.append(
            f'<figure><img alt="{text}" width="{width}" height="{height}" '
            f'src="data:image/jpeg;base64,{data}">'
            f'<figcaption>{text}</figcaption></figure>'
        )
    return f'<div class="pictures">{"".join(parts)}</div>'


def line(text: str, kind: str = 'found') -> str:
    """Return HTML of a line: what was found, or an error."""
    return f'<p class="{kind}" role="status">{html.escape(text)}</p>'


def legend(entries: Sequence[Any]) -> str:
    """Return HTML of the names of classes beside their colours."""
    parts = [
        f'<span><i style="background: rgb{color}"></i>{html.escape(name)}'
        '</span>'
        for name, color in entries
    ]
    return f'<p>{"".join(parts)}</p>'


class Handlers:
    """What the page does when its parts change.

    ``values`` are those of the classes and of the sliders.
    """

    def __init__(self, demo: Demo) -> None:
        self.gr = import_gradio()
        self.demo = demo
        self.names = ['labels', *demo.sliders]

    def look(self, path: Any, layers: List[str], *values: Any) -> List[Any]:
        """Let the network see a new picture, and show it."""
        try:
            picture = None if path is None else self.demo.look(path)
        # Whatever is wrong with a file, the page says so.
        except Exception as error:
            return [None, *self._fail(error, f'{Path(path).parent}/')]
        return [picture, *self.show(picture, layers, *values)]

    def show(self, picture: Any, layers: List[str], *values: Any) -> List[Any]:
        """Show a picture that was seen at the settings."""
        if picture is None:
            return [line(START), '', self._no_download()]
        try:
            settings = dict(zip(self.names, values))
            sample = self.demo.predict(picture, **settings)
            tiles = self.demo.draw(picture, sample, layers)
        except Exception as error:
            return self._fail(error)
        status = line(self.demo.describe(sample))
        status += legend(self.demo.legend(sample))
        return [status, figures(tiles), self._no_download()]

    def export(self, picture: Any, kinds: List[str], *values: Any) -> Any:
        """Write the labels below the folder of the file that was sent."""
        if picture is None or not kinds:
            raise self.gr.Error('Choose a picture and a format first.')
        file = Path(picture.path)
        # Browsers may keep what they have got from an address.
        out = file.parent / uuid4().hex / file.stem
        settings = dict(zip(self.names, values))
        path = self.demo.export(picture, kinds, str(out), **settings)
        return self.gr.update(value=path, visible=True)

    def _fail(self, error: Exception, folder: str = '') -> List[Any]:
        text = error_line(error).replace(folder, '')
        return [line(text, 'error'), '', self._no_download()]

    def _no_download(self) -> Any:
        """What was written before belongs to other settings."""
        return self.gr.update(value=None, visible=False)


def build_page(demo: Demo, title: str) -> Any:
    """Return the page of a demo."""
    gr, handlers = import_gradio(), Handlers(demo)
    with gr.Blocks(
        title=title,
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(3600, 3600),
    ) as page:
        seen = gr.State()
        gr.Markdown(f'## {title}')
        with gr.Row(elem_id='page'):
            with gr.Column(elem_id='file'):
                file = gr.File(label='Picture', height=120)
            with gr.Column(elem_id='result'):
                status = gr.HTML(line(START), elem_id='status')
                pictures = gr.HTML(elem_id='pictures')
            with gr.Column(elem_id='settings'):
                labels = gr.Dropdown(
                    demo.classes,
                    value=[],
                    multiselect=True,
                    visible=demo.head is not None,
                    label='Classes',
                    info='that the picture shows; none: those predicted',
                )
                sliders = [
                    gr.Slider(0, x.high, x.start, step=0.01, label=x.label)
                    for x in demo.sliders.values()
                ]
                layers = gr.CheckboxGroup(
                    demo.layers, value=demo.layers, label='Layers'
                )
                with gr.Accordion('Labels for other tools', open=False):
                    kinds = gr.CheckboxGroup(
                        list(FORMATS), value=['coco'], label='Formats'
                    )
                    write = gr.Button('Write labels')
                    zipped = gr.DownloadButton('Download', visible=False)
        common = dict(api_visibility='private')
        inputs, outputs = [labels, *sliders], [status, pictures, zipped]
        file.change(
            handlers.look,
            [file, layers, *inputs],
            [seen, *outputs],
            show_progress_on=status,
            **common,
        )
        # One event of all: of results that wait, the last is the last shown.
        gr.on(
            [part.input for part in (labels, layers, *sliders)],
            handlers.show,
            [seen, layers, *inputs],
            outputs,
            show_progress='hidden',
            trigger_mode='always_last',
            **common,
        )
        write.click(handlers.export, [seen, kinds, *inputs], zipped, **common)
    return page


def launch(page: Any, host: str, port: int) -> None:
    """Serve a page, to which nothing comes from elsewhere, in a thread."""
    gr = import_gradio()
    fonts = dict(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            theme=gr.themes.Default(**fonts),
            css=CSS,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise ValueError(
            f'{host}:{port} cannot be listened at, perhaps because it is in '
            'use: name another --port.'
        ) from error


@parser.command
def main(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    import_gradio()
    options = dict(args.cfg_options or {})
    keys = dict(
        background='model.head.background_value',
        score='model.head.score_threshold',
        ratio='model.head.peaks.min_ratio',
    )
    given = {key: getattr(args, name) for name, key in keys.items()}
    options.update({k: x for k, x in given.items() if x is not None})
    inferencer = WSLInferencer(
        args.config, args.checkpoint, args.device, options
    )
    demo = Demo(inferencer, args.max_peaks)
    page = build_page(demo, Path(args.config).stem)
    launch(page, args.host, args.port)
    print(f'open http://{args.host}:{args.port} (Ctrl-C stops it)', flush=True)
    try:
        threading.Event().wait()
    finally:
        page.close(verbose=False)


if __name__ == '__main__':
    raise SystemExit(main())
