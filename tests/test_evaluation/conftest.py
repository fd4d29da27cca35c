"""What metrics print."""

import sys

import pytest


@pytest.fixture
def messages(monkeypatch):
    """What the metrics print; mmengine's logger keeps it from caplog."""
    printed = []
    for name, module in list(sys.modules.items()):
        if name.startswith('mmwsl.evaluation.metrics.'):
            monkeypatch.setattr(
                module,
                'print_log',
                lambda text, **kwargs: printed.append(text),
                raising=False,
            )
    return printed
