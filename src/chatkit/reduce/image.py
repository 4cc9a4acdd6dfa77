"""The accumulator of generated images."""

from __future__ import annotations

from types import MappingProxyType

from chatkit.reduce.base import ItemAccumulator
from chatkit.types import GeneratedImageItem, GeneratedImageUpdated

__all__ = ["ImageAccumulator"]


class ImageAccumulator(ItemAccumulator):
    """Takes newer versions of a generated image."""

    __slots__ = ()

    _item: GeneratedImageItem

    @property
    def is_empty(self) -> bool:
        return self._item.image is None

    def _set_image(self, update: GeneratedImageUpdated) -> None:
        self._item.image = update.image.model_copy(deep=True)

    _takes = MappingProxyType({"generated_image.updated": _set_image})
