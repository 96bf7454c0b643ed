"""Writing: resolved forms as YAML files, which read back to the same."""

import io
from collections.abc import Mapping
from typing import Any


def written(page: Mapping[str, Any]) -> str:
    """Plain data as YAML, members in their own order."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 140
    text = io.StringIO()
    yaml.dump(page, text)
    return text.getvalue()
