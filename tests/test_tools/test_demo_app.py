"""The demo's page in a real browser, at the widths of a desktop and a phone.

With MMWSL_NEED_BROWSER in the environment what is missing is a failure.
"""

import base64
import http.client
import importlib.util
import io
import os
import shutil
import socket
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from forks import free_port
from mmwsl.apis import WSLInferencer, init_model
from mmwsl.apis.demo import Demo
from tool_calls import call, error, fails
from toy_run import CONFIG, ROOT
from untrained import spread_head, write_noise

pytestmark = pytest.mark.slow

SIZES = dict(desktop=(1280, 800), phone=(390, 844))
FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
# Milliseconds, also where other tests take the cores.
PATIENCE = 60_000


def need(*packages):
    missing = [x for x in packages if importlib.util.find_spec(x) is None]
    if shutil.which('chromium') is None:
        missing.append('chromium')
    if missing:
        text = f'needs {" and ".join(missing)}, to see the page'
        (pytest.fail if os.environ.get('MMWSL_NEED_BROWSER') else pytest.skip)(
            text
        )


@pytest.fixture(scope='module')
def browser():
    need('gradio', 'playwright')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = playwright.chromium.launch(
            executable_path=shutil.which('chromium'), args=FLAGS
        )
        yield program
        program.close()


@pytest.fixture(scope='module')
def serve(tool, browser):
    """Serves a demo of a model of a kind; each is built once."""
    served = {}

    def start(kind):
        if kind not in served:
            torch.manual_seed(0)
            model = init_model(ROOT / f'configs/{kind}/{kind}_r18_toy.py')
            spread_head(model)
            demo = Demo(WSLInferencer(model, show_progress=False))
            page = tool.build_page(demo, f'{kind}_r18_toy')
            port = free_port()
            tool.launch(page, '127.0.0.1', port)
            served[kind] = demo, page, f'http://127.0.0.1:{port}'
        return served[kind]

    yield start
    for _, page, _ in served.values():
        page.close(verbose=False)


@pytest.fixture
def visit(browser, serve):
    """Opens the page of a kind of model in a window of a size."""

    @contextmanager
    def opened(kind, size):
        demo, _, address = serve(kind)
        width, height = SIZES[size]
        phone = size == 'phone'
        context = browser.new_context(
            viewport=dict(width=width, height=height),
            is_mobile=phone,
            has_touch=phone,
            color_scheme='light',
        )
        window = context.new_page()
        window.set_default_timeout(PATIENCE)
        asked, broken = [], []
        window.on('request', lambda request: asked.append(request.url))
        window.on('pageerror', lambda fault: broken.append(str(fault)))
        window.goto(address)
        window.wait_for_selector('#file input[type=file]', state='attached')
        yield demo, window
        # Nothing comes from elsewhere, and all of it works.
        local = (address, 'data:', f'blob:{address}')
        assert [url for url in asked if not url.startswith(local)] == []
        assert broken == []
        context.close()

    return opened


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return write_noise(tmp_path_factory.mktemp('pictures') / 'photo.png')


def upload(window, path):
    window.set_input_files('#file input[type=file]', str(path))


def shown(window, captions):
    """The pictures of the page, once their captions are those expected."""
    window.wait_for_function(
        """captions => JSON.stringify(captions) === JSON.stringify(
            [...document.querySelectorAll('#pictures figcaption')]
            .map(x => x.textContent))""",
        arg=captions,
    )
    sources = window.eval_on_selector_all(
        '#pictures img', 'found => found.map(x => x.src)'
    )
    return [base64.b64decode(source.split(',')[1]) for source in sources]


def move(window, index, value):
    window.locator('#settings input[type=range]').nth(index).fill(str(value))


def look_at(window, folder, name):
    """Take a screenshot, in which nothing leaves the window at its sides."""
    path = Path(os.environ.get('MMWSL_SCREENSHOTS', folder), f'{name}.png')
    window.wait_for_timeout(300)
    window.screenshot(path=str(path), full_page=True)
    for part in ('#file', '#status', '#settings'):
        box = window.locator(part).bounding_box()
        assert box['x'] >= 0, part
        assert box['x'] + box['width'] <= window.viewport_size['width'], part
    return np.array(Image.open(path).convert('RGB'))


def assert_drawn(window, tiles):
    """What the browser paints is what was drawn."""
    for number, tile in enumerate(tiles[:2]):
        image = window.locator('#pictures img').nth(number)
        image.scroll_into_view_if_needed()
        seen = Image.open(io.BytesIO(image.screenshot())).convert('RGB')
        expected = Image.fromarray(tile.image).resize(seen.size)
        # The corners are round, and browsers resize in their own way.
        inner = (slice(12, -12), slice(12, -12))
        difference = np.abs(
            np.array(seen, float)[inner] - np.array(expected, float)[inner]
        )
        assert difference.mean() < 4


@pytest.mark.parametrize(
    ('kind', 'size'),
    [
        ('prm', 'desktop'),
        ('prm', 'phone'),
        ('cam', 'phone'),
        ('lc', 'desktop'),
    ],
)
def test_states(tool, visit, file, tmp_path, kind, size):
    """Start, an upload, a moved slider, and a file that is no picture."""
    with visit(kind, size) as (demo, window):
        states = [look_at(window, tmp_path, f'{kind}_{size}_start')]
        assert tool.START in window.inner_text('#status')
        assert window.locator('#pictures figure').count() == 0

        picture = demo.look(str(file))
        tiles = demo.draw(picture, demo.predict(picture), demo.layers)
        upload(window, file)
        found = shown(window, [tile.text for tile in tiles])
        assert found == [tool.jpeg(tile) for tile in tiles]
        states.append(look_at(window, tmp_path, f'{kind}_{size}_upload'))
        assert_drawn(window, tiles)

        passes = []
        handle = demo.model.backbone.register_forward_hook(
            lambda *args: passes.append(1)
        )
        values = dict(zip(demo.sliders, (0.6, 0.9, 0.9)))
        for number, value in enumerate(values.values()):
            move(window, number, value)
        sample = demo.predict(picture, **values)
        tiles = demo.draw(picture, sample, demo.layers)
        passed = len(passes)
        window.wait_for_function(
            'text => document.querySelector("#status").innerText'
            '.startsWith(text)',
            arg=demo.describe(sample),
        )
        assert shown(window, [tile.text for tile in tiles]) != found
        window.wait_for_function(
            'source => document.querySelectorAll("#pictures img")[1].src'
            ' === source',
            arg='data:image/jpeg;base64,'
            + base64.b64encode(tool.jpeg(tiles[1])).decode(),
        )
        states.append(look_at(window, tmp_path, f'{kind}_{size}_slider'))
        assert_drawn(window, tiles)
        handle.remove()
        assert len(passes) == passed == 0

        notes = tmp_path / 'notes.txt'
        notes.write_text('no picture')
        window.click('#file button[aria-label="Clear"]')
        upload(window, notes)
        window.wait_for_selector('#status .error')
        text = window.inner_text('#status')
        assert text.count('\n') == 0
        assert 'notes.txt' in text
        assert str(tmp_path) not in text
        assert window.locator('#pictures figure').count() == 0
        states.append(look_at(window, tmp_path, f'{kind}_{size}_error'))
        for before, after in zip(states, states[1:]):
            assert before.shape != after.shape or (before != after).any()


def zip_content(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_other_parts(tool, visit, file, tmp_path):
    """Classes and layers are chosen, and labels come as a zip."""
    with visit('prm', 'desktop') as (demo, window):
        upload(window, file)
        picture = demo.look(str(file))
        sample = demo.predict(picture)
        tiles = demo.draw(picture, sample, demo.layers)
        shown(window, [tile.text for tile in tiles])
        for layer in demo.layers:
            if layer != 'instances':
                window.get_by_label(layer, exact=True).uncheck()
        tiles = demo.draw(picture, sample, ['instances'])
        found = shown(window, [tile.text for tile in tiles])
        assert found[1] == tool.jpeg(tiles[1])

        window.get_by_label('Classes').click()
        window.get_by_role('option', name='cod').click()
        sample = demo.predict(picture, ['cod'])
        tiles = demo.draw(picture, sample, ['instances'])
        found = shown(window, [tile.text for tile in tiles])
        assert found[1] == tool.jpeg(tiles[1])

        window.get_by_text('Labels for other tools').click()
        window.get_by_label('yolo-segment').check()
        window.get_by_text('Write labels').click()
        with window.expect_download() as download:
            window.get_by_text('Download').click()
        expected = demo.export(
            picture, ['coco', 'yolo-segment'], str(tmp_path / 'own'), ['cod']
        )
        sent, own = map(zip_content, (download.value.path(), expected))
        assert sent == own
        assert 'yolo-segment/data.yaml' in own
        # They belong to these settings alone.
        move(window, 2, 0.9)
        window.get_by_text('Download').wait_for(state='hidden')
        window.get_by_label('coco', exact=True).uncheck()
        window.get_by_text('Write labels').click()
        with window.expect_download() as download:
            window.get_by_text('Download').click()
        assert 'coco/' not in zip_content(download.value.path())


def test_nobody_is_told(serve):
    _, page, _ = serve('cam')
    assert not page.analytics_enabled
    assert not page.share
    assert page.share_url is None


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('checkpoint') / 'toy.pth'
    torch.save(dict(state_dict=init_model(CONFIG).state_dict()), path)
    return path


def test_command(tool, checkpoint, monkeypatch, capsys):
    """It serves the page until Ctrl-C."""
    need('gradio')
    port, answers = free_port(), []

    class Visit:
        def wait(self):
            visitor = http.client.HTTPConnection('127.0.0.1', port)
            visitor.request('GET', '/')
            answers.append(visitor.getresponse().status)
            raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'threading', SimpleNamespace(Event=Visit))
    args = [CONFIG, checkpoint, '--device', 'cpu', '--port', port]
    assert call(tool, *args) == 130
    assert answers == [200]
    printed = capsys.readouterr()
    assert f'open http://127.0.0.1:{port} ' in printed.out
    assert printed.err.splitlines()[-1] == 'stopped'
    with socket.socket() as probe:
        assert probe.connect_ex(('127.0.0.1', port)) != 0


def test_port_in_use(tool, checkpoint, capsys):
    need('gradio')
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = [CONFIG, checkpoint, '--device', 'cpu', '--port', port]
        assert f':{port} cannot' in fails(tool, capsys, *args)


def test_no_such_checkpoint(tool, capsys):
    need('gradio')
    assert 'none.pth' in fails(tool, capsys, CONFIG, 'none.pth')


def test_where_sliders_start(tool, checkpoint, monkeypatch):
    need('gradio')
    demos = []

    def build_page(demo, title):
        demos.append(demo)
        raise SystemExit(0)

    monkeypatch.setattr(tool, 'build_page', build_page)
    args = [CONFIG, checkpoint, '--device', 'cpu', '--score', 0.25]
    assert call(tool, *args, '--background', '0.5') == 0
    starts = {name: x.start for name, x in demos[0].sliders.items()}
    assert starts == dict(background=0.5, score=0.25)


def test_without_gradio(tool, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    assert call(tool, CONFIG, 'none.pth') == 1
    assert 'pip install mmwsl[demo]' in error(capsys.readouterr())
