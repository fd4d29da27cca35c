"""Loops."""

from mmwsl.engine.loops.adversarial_erasing_loop import AdversarialErasingLoop

__all__ = ['AdversarialErasingLoop']
