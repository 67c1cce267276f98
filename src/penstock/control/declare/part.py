"""What every document and every part of one has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_snake

__all__ = ["Part"]


class Part(BaseModel):
    """A mapping in an estate file: keys in kebab-case, none unknown, never changed once read."""

    model_config = ConfigDict(
        alias_generator=lambda name: to_snake(name).replace("_", "-"),
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
