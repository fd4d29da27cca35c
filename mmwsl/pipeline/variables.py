"""The variables of a pipeline file and what the command line changes."""

from typing import Any, Dict

from mmwsl.pipeline.references import expand

SECTIONS = ('stages', 'page', 'evaluate')


def set_options(
    path: str, content: Dict[str, Any], options: Dict[str, Any]
) -> None:
    """Apply what the command line changes, in place.

    Args:
        path: The pipeline file.
        content: What it holds.
        options: Values of variables, of ``page.KEY`` and ``STAGE.KEY``.

    Raises:
        ValueError: If an option has no effect.
    """
    stages = {stage['name']: stage for stage in content['stages']}
    text = str(content)
    for key, value in options.items():
        head, _, rest = key.partition('.')
        if rest and head in stages:
            if stages[head]['run'] == 'tool':
                raise ValueError(
                    f'{key}: stage {head!r} of {path} runs a tool, which has '
                    'no config'
                )
            stages[head].setdefault('cfg_options', {})[rest] = value
        elif rest and head in ('page', 'evaluate'):
            content.setdefault(head, {})[rest] = value
        elif f'{{{key}}}' in text:
            content[key] = value
        else:
            known = [x for x in content if f'{{{x}}}' in text]
            raise ValueError(
                f'{key}: no stage of {path} has this name and none uses '
                f'{{{key}}}; its variables are {", ".join(known) or "none"}'
            )


def read_variables(path: str, content: Dict[str, Any]) -> Dict[str, Any]:
    """The variables; each may use those above it, and folders of stages.

    Args:
        path: The pipeline file.
        content: What it holds.

    Returns:
        Their values; references to stages stay as they are.

    Raises:
        ValueError: If a variable uses one that is not known.
    """
    variables: Dict[str, Any] = {}

    def lookup(name: str) -> Any:
        if '.' in name:
            return f'{{{name}}}'
        if name not in variables:
            raise ValueError(f'{path}: {{{name}}} is not known at this point')
        return variables[name]

    for key, value in content.items():
        if isinstance(value, (list, tuple)) and key not in SECTIONS:
            # The command line reads a,b,c as a list. Lists with references
            # are arguments of stages, which resolve them.
            plain = all(
                isinstance(x, (str, int, float)) and '{' not in str(x)
                for x in value
            )
            value = ','.join(map(str, value)) if plain else None
        if key not in SECTIONS and isinstance(value, (str, int, float)):
            variables[key] = expand(value, lookup)
    return variables
