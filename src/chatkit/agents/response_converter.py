"""The overridable conversion of citations, images and hosted tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from chatkit.types import Annotation, FileSource, Task, URLSource

if TYPE_CHECKING:
    from openai.types.responses.response_output_text import (
        AnnotationContainerFileCitation,
        AnnotationFileCitation,
        AnnotationURLCitation,
    )

__all__ = ["ResponseStreamConverter"]


class ResponseStreamConverter:
    """Turns images and citations of a response into what is shown.

    Args:
        partial_images: How many partial versions of an image the model was asked for; progress is computed with it.
        think_tags: Whether what a model writes between ``<think>`` and ``</think>`` is shown as thoughts; otherwise
            it is text like any other.
    """

    # A subclass may leave out `super().__init__()`.
    partial_images: int | None = None
    think_tags: bool = True

    def __init__(self, *, partial_images: int | None = None, think_tags: bool = True) -> None:
        self.partial_images = partial_images
        self.think_tags = think_tags

    async def base64_image_to_url(
        self, image_id: str, base64_image: str, partial_image_index: int | None = None
    ) -> str:
        """Returns the URL under which an image is shown; by default a ``data:`` URL.

        Override it to keep images elsewhere: a data URL is stored with the item.

        Args:
            image_id: The model's id of the image.
            base64_image: The image, PNG, in base64.
            partial_image_index: Which partial version it is; None for the finished image.
        """
        return f"data:image/png;base64,{base64_image}"

    def partial_image_index_to_progress(self, partial_image_index: int) -> float:
        """Returns how far the image is when a partial version arrives, from 0 to 1."""
        if not self.partial_images or self.partial_images <= 0:
            return 0.0
        return min(1.0, partial_image_index / self.partial_images)

    def hosted_tool_to_task(self, call: Any, *, is_done: bool) -> Task | None:
        """Returns what is shown of a tool that the model's API carries out, such as a web search; by default nothing.

        Args:
            call: The item of the response, such as one of type ``web_search_call``.
            is_done: Whether it is complete; the task takes the place of the one before.
        """
        return None

    async def file_citation_to_annotation(self, file_citation: AnnotationFileCitation) -> Annotation | None:
        """Returns the citation of a file that was searched, or None to leave it out."""
        return _file_annotation(file_citation.filename, file_citation.index)

    async def container_file_citation_to_annotation(
        self, container_file_citation: AnnotationContainerFileCitation
    ) -> Annotation | None:
        """Returns the citation of a file that code made or read, or None to leave it out."""
        return _file_annotation(container_file_citation.filename, container_file_citation.end_index)

    async def url_citation_to_annotation(self, url_citation: AnnotationURLCitation) -> Annotation | None:
        """Returns the citation of a web page, or None to leave it out."""
        return Annotation(
            source=URLSource(title=url_citation.title, url=url_citation.url), index=url_citation.end_index
        )


def _file_annotation(filename: str | None, index: int | None) -> Annotation | None:
    if not filename:
        return None
    return Annotation(source=FileSource(filename=filename, title=filename), index=index)


async def convert_annotation(raw: Any, converter: ResponseStreamConverter) -> Annotation | None:
    """Returns what a citation of any kind is shown as; None for kinds that are not shown.

    Args:
        raw: A citation as the client of the API gave it: an object of one of its classes, or a dictionary.
        converter: Decides.
    """
    citation: Any = _from_dictionary(cast("dict[str, Any]", raw)) if isinstance(raw, dict) else raw
    match getattr(citation, "type", None):
        case "file_citation":
            return await converter.file_citation_to_annotation(citation)
        case "container_file_citation":
            return await converter.container_file_citation_to_annotation(citation)
        case "url_citation":
            return await converter.url_citation_to_annotation(citation)
        case _:
            return None


def _from_dictionary(raw: dict[str, Any]) -> Any:
    from openai.types.responses import response_output_text as models

    kinds: dict[Any, Any] = {
        "file_citation": models.AnnotationFileCitation,
        "container_file_citation": getattr(models, "AnnotationContainerFileCitation", None),
        "url_citation": models.AnnotationURLCitation,
    }
    kind = kinds.get(raw.get("type"))
    return None if kind is None else kind.model_construct(**raw)
