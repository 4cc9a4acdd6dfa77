"""The contract of :class:`chatkit.types.FileStore` as a test suite.

::

    from chatkit.testing import FileStoreContract


    class TestMyFiles(FileStoreContract):
        def make_files(self):
            return MyFileStore(bucket="test")

The suite needs pytest and no plugin: each test runs its scenario in an event loop of its own, with a store and files of
its own. It uses the URLs that the store gives as a client would, so whatever serves them has to run.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

from chatkit._tasks import maybe_await
from chatkit.errors import (
    AlreadyUploadedError,
    NotFoundError,
    UnsupportedMediaTypeError,
    UploadIncompleteError,
)
from chatkit.files.base import ManagedFileStore
from chatkit.ids import new_id
from chatkit.testing._file_base import Answer, FileSuite
from chatkit.testing._file_base import metadata_of as _metadata
from chatkit.testing._store_base import raises

__all__ = ["Answer", "FileStoreContract"]

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
HTML: Final = b"<!doctype html><script>alert(1)</script>"
_LARGE: Final = 12 * 1024 * 1024
_NAMES: Final = (
    "plain.png",
    "two  spaces; and=more.png",
    'quote" and \\ back.png',
    "../../etc/passwd",
    "línea\r\nX-Injected: yes.png",
    "\u202egnp.exe",
    "日本語.png",
    "x" * 300 + ".png",
    "",
)


class FileStoreContract(FileSuite):
    """Tests of a file store: subclass it under a name that begins with ``Test`` and override ``make_files``.

    A store that lacks something on purpose says so by setting an attribute of the class to False; the tests of it are
    then skipped.
    """

    # Two-phase uploads.

    def test_the_upload_url_takes_the_announced_file(self) -> None:
        async def scenario(files: Any) -> None:
            for content, kind in ((PNG, "image/png"), (b"", "text/plain"), (b"%PDF-1.7", "application/pdf")):
                file_id, metadata = new_id("attachment"), _metadata(content, kind)
                url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
                answer = await self._put(files, url, content, metadata)
                assert 200 <= answer.status < 300, answer
                assert (await self._preview(files, file_id)).body == content
                await maybe_await(files.delete(file_id))

        self._run(scenario)

    def test_file_names_of_any_kind_are_taken(self) -> None:
        async def scenario(files: Any) -> None:
            for name in _NAMES:
                for kind, content in (("image/png", PNG), ("application/x-unknown", HTML)):
                    file_id, metadata = new_id("attachment"), _metadata(content, kind, name)
                    url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
                    assert 200 <= (await self._put(files, url, content, metadata)).status < 300, name
                    answer = await self._preview(files, file_id)
                    assert answer.body == content
                    assert "x-injected" not in answer.headers
                    await maybe_await(files.delete(file_id))

        self._run(scenario)

    def test_another_type_is_refused(self) -> None:
        self.need("binds_type")

        async def scenario(files: Any) -> None:
            for kind in ("text/html", "image/svg+xml", "image/pngx"):
                file_id, metadata = new_id("attachment"), _metadata(PNG)
                url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
                headers = {**self.upload_headers(files, metadata), "Content-Type": kind}
                assert (await self._send("PUT", url, PNG, headers)).is_refusal
                assert (await self._preview(files, file_id)).is_refusal

        self._run(scenario)

    def test_another_size_is_refused(self) -> None:
        self.need("binds_size")

        async def scenario(files: Any) -> None:
            for content in (PNG + b"x", PNG * 100, PNG[:-1], b""):
                file_id, metadata = new_id("attachment"), _metadata(PNG)
                url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
                assert (await self._put(files, url, content, metadata)).is_refusal
                assert (await self._preview(files, file_id)).is_refusal

        self._run(scenario)

    def test_a_forged_url_is_refused(self) -> None:
        async def scenario(files: Any) -> None:
            file_id, other_id, metadata = new_id("attachment"), new_id("attachment"), _metadata(PNG)
            url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
            forged = [
                url.partition("?")[0],
                url.replace(file_id, other_id),
                url[:-6] + ("000000" if not url.endswith("000000") else "111111"),
            ]
            for attempt in forged:
                assert (await self._put(files, attempt, PNG, metadata)).is_refusal, attempt
            for some_id in (file_id, other_id):
                assert (await self._preview(files, some_id)).is_refusal

        self._run(scenario)

    def test_an_expired_url_is_refused(self) -> None:
        async def scenario(files: Any) -> None:
            earlier = self.make_files_at(-7 * 86400)
            if earlier is None:
                self.skip("make_files_at() gives no store with another clock")
            file_id, metadata = new_id("attachment"), _metadata(PNG)
            url = str(await maybe_await(earlier.get_upload_url(file_id, metadata)))
            assert (await self._put(files, url, PNG, metadata)).is_refusal
            url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
            assert 200 <= (await self._put(files, url, PNG, metadata)).status < 300
            old = str(await maybe_await(earlier.get_preview_url(file_id)))
            assert (await self._send("GET", old)).is_refusal
            await maybe_await(files.delete(file_id))

        self._run(scenario)

    # Previews and downloads.

    def test_an_upload_url_writes_a_file_once(self) -> None:
        """Neither before a message names the file nor after."""

        async def scenario(files: ManagedFileStore) -> None:
            file_id, metadata = new_id("attachment"), _metadata(PNG)
            other = PNG[:-1] + b"?"
            url = await files.get_upload_url(file_id, metadata)
            assert 200 <= (await self._put(files, url, PNG, metadata)).status < 300
            assert (await self._put(files, url, other, metadata)).is_refusal
            await files.check_upload(file_id, "image/png")
            await files.claim(file_id)
            assert (await self._put(files, url, other, metadata)).is_refusal
            assert await files.read(file_id) == PNG
            await files.delete(file_id)

        self._run_managed(scenario)

    def test_an_upload_url_does_not_outlive_its_file(self) -> None:
        """What is uploaded after the file was deleted is refused, or can be named by no message and is swept."""

        async def scenario(files: ManagedFileStore) -> None:
            for claimed in (False, True):
                file_id, metadata = new_id("attachment"), _metadata(PNG)
                url = await files.get_upload_url(file_id, metadata)
                assert 200 <= (await self._put(files, url, PNG, metadata)).status < 300
                if claimed:
                    await files.claim(file_id)
                await files.delete(file_id)
                await self._put(files, url, PNG, metadata)
                await raises(UploadIncompleteError, files.check_upload(file_id, "image/png"))
                later = self.make_files_at(7 * 86400)
                if later is not None:
                    await later.sweep_orphans()
                    await raises(NotFoundError, files.read(file_id))

        self._run_managed(scenario)

    def test_a_preview_needs_its_own_url(self) -> None:
        async def scenario(files: Any) -> None:
            file_id, metadata = new_id("attachment"), _metadata(PNG)
            upload = str(await maybe_await(files.get_upload_url(file_id, metadata)))
            assert 200 <= (await self._put(files, upload, PNG, metadata)).status < 300
            preview = str(await maybe_await(files.get_preview_url(file_id)))
            answer = await self._send("GET", preview)
            assert (answer.status, answer.body) == (200, PNG)
            assert answer.headers["content-type"] == "image/png"
            assert not answer.headers.get("content-disposition", "inline").startswith("attachment")
            assert (await self._send("GET", upload)).is_refusal
            assert (await self._send("GET", preview.partition("?")[0])).is_refusal
            assert (await self._send("PUT", preview, PNG, {"Content-Type": "image/png"})).is_refusal
            assert (await self._send("DELETE", preview)).is_refusal
            await maybe_await(files.delete(file_id))

        self._run(scenario)

    def test_a_preview_of_nothing_is_refused(self) -> None:
        async def scenario(files: Any) -> None:
            assert (await self._preview(files, new_id("attachment"))).is_refusal

        self._run(scenario)

    def test_what_browsers_could_run_is_downloaded(self) -> None:
        self.need("hides_active_files")

        async def scenario(files: Any) -> None:
            for kind, content in (("text/html", HTML), ("image/svg+xml", b"<svg onload='alert(1)'/>")):
                file_id, metadata = new_id("attachment"), _metadata(content, kind, "page.html")
                url = str(await maybe_await(files.get_upload_url(file_id, metadata)))
                assert 200 <= (await self._put(files, url, content, metadata)).status < 300
                answer = await self._preview(files, file_id)
                assert answer.headers["content-disposition"].startswith("attachment")
                await maybe_await(files.delete(file_id))

        self._run(scenario)

    # Direct uploads.

    def test_a_direct_upload_is_kept(self) -> None:
        self.need("takes_direct_uploads")

        async def scenario(files: Any) -> None:
            file_id = new_id("attachment")
            url = str(await maybe_await(files.upload(file_id, PNG, _metadata(PNG, name="päge.png"))))
            assert (await self._send("GET", url)).body == PNG
            assert (await self._preview(files, file_id)).body == PNG
            await maybe_await(files.delete(file_id))
            assert (await self._send("GET", url)).is_refusal

        self._run(scenario)

    # Deleting.

    def test_a_deleted_file_is_gone(self) -> None:
        async def scenario(files: Any) -> None:
            file_id, kept_id, metadata = new_id("attachment"), new_id("attachment"), _metadata(PNG)
            for some_id in (file_id, kept_id):
                url = str(await maybe_await(files.get_upload_url(some_id, metadata)))
                assert 200 <= (await self._put(files, url, PNG, metadata)).status < 300
            preview = str(await maybe_await(files.get_preview_url(file_id)))
            await maybe_await(files.delete(file_id))
            assert (await self._send("GET", preview)).is_refusal
            assert (await self._preview(files, kept_id)).body == PNG
            await maybe_await(files.delete(kept_id))

        self._run(scenario)

    def test_deleting_what_is_not_there_is_no_error(self) -> None:
        async def scenario(files: Any) -> None:
            for _ in range(2):
                await maybe_await(files.delete("atc_missing"))

        self._run(scenario)

    # What only a ManagedFileStore does.

    def test_a_large_file_is_stored_from_disk(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            content = b"%PDF-" + bytes(_LARGE)
            file_id, metadata = new_id("attachment"), _metadata(content, "application/pdf", "a.pdf")
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "source"
                await asyncio.to_thread(source.write_bytes, content)
                url = await files.upload_path(file_id, source, metadata)
            assert await files.read(file_id) == content
            answer = await self._send("GET", url)
            assert answer.body == content
            assert answer.headers["content-disposition"].startswith("attachment")
            await files.delete(file_id)
            await raises(NotFoundError, files.read(file_id))

        self._run_managed(scenario)

    def test_the_second_upload_of_a_file_is_refused(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            file_id = new_id("attachment")
            await files.upload(file_id, PNG, _metadata(PNG))
            await raises(AlreadyUploadedError, files.upload(file_id, HTML, _metadata(HTML, "text/html")))
            assert await files.read(file_id) == PNG
            await files.delete(file_id)

        self._run_managed(scenario)

    def test_a_download_has_the_name_that_is_asked_for(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            file_id = new_id("attachment")
            await files.upload(file_id, PNG, _metadata(PNG))
            answer = await self._send("GET", await files.get_content_url(file_id, "ünter/nä me.png"))
            assert answer.body == PNG
            header = answer.headers["content-disposition"]
            assert header == "attachment; filename=\"n_ me.png\"; filename*=UTF-8''n%C3%A4%20me.png"
            await files.delete(file_id)

        self._run_managed(scenario)

    def test_an_upload_is_checked_once_it_is_there(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            file_id, metadata = new_id("attachment"), _metadata(PNG)
            await raises(UploadIncompleteError, files.check_upload(file_id, "image/png"))
            url = await files.get_upload_url(file_id, metadata)
            await raises(UploadIncompleteError, files.check_upload(file_id, "image/png"))
            assert 200 <= (await self._put(files, url, PNG, metadata)).status < 300
            await files.check_upload(file_id, "image/png")
            await files.delete(file_id)
            await raises(UploadIncompleteError, files.check_upload(file_id, "image/png"))

        self._run_managed(scenario)

    def test_bytes_of_another_type_do_not_stay(self) -> None:
        """Refused at once where the bytes pass the application, else when a message names the file."""

        async def scenario(files: ManagedFileStore) -> None:
            file_id, metadata = new_id("attachment"), _metadata(HTML, "image/png")
            url = await files.get_upload_url(file_id, metadata)
            if 200 <= (await self._put(files, url, HTML, metadata)).status < 300:
                await raises(UnsupportedMediaTypeError, files.check_upload(file_id, "image/png"))
            await raises(UploadIncompleteError, files.check_upload(file_id, "image/png"))
            assert (await self._preview(files, file_id)).is_refusal

        self._run_managed(scenario)

    def test_orphans_are_swept_and_claimed_files_stay(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            ids = {name: new_id("attachment") for name in ("claimed", "orphan", "announced")}
            for name in ("claimed", "orphan"):
                await files.upload(ids[name], PNG, _metadata(PNG))
            await files.get_upload_url(ids["announced"], _metadata(PNG))
            await files.claim(ids["claimed"])
            await files.claim(ids["claimed"])
            assert await files.sweep_orphans() == 0
            later = self.make_files_at(7 * 86400)
            if later is None:
                self.skip("make_files_at() gives no store with another clock")
            await raises(UploadIncompleteError, later.check_upload(ids["orphan"], "image/png"))
            await later.check_upload(ids["claimed"], "image/png")
            assert await later.sweep_orphans() >= 1
            await raises(NotFoundError, files.read(ids["orphan"]))
            assert await files.read(ids["claimed"]) == PNG
            assert await later.sweep_orphans() == 0
            await files.delete(ids["claimed"])

        self._run_managed(scenario)

    def test_a_copy_is_a_file_of_its_own(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            file_id, copy_id, metadata = new_id("attachment"), new_id("attachment"), _metadata(PNG)
            await files.upload(file_id, PNG, metadata)
            await files.claim(file_id)
            await files.copy(file_id, copy_id, metadata)
            await files.delete(file_id)
            await raises(NotFoundError, files.read(file_id))
            await files.check_upload(copy_id, "image/png")
            assert await files.read(copy_id) == PNG
            answer = await self._preview(files, copy_id)
            assert (answer.body, answer.headers["content-type"]) == (PNG, "image/png")
            await raises(NotFoundError, files.copy(file_id, new_id("attachment"), metadata))
            later = self.make_files_at(7 * 86400)
            if later is not None:
                # Nobody has claimed it.
                assert await later.sweep_orphans() >= 1
                await raises(NotFoundError, files.read(copy_id))
            await files.delete(copy_id)

        self._run_managed(scenario)

    def test_ids_that_are_paths_are_refused_or_harmless(self) -> None:
        async def scenario(files: ManagedFileStore) -> None:
            for file_id in (
                "../outside",
                "/absolute",
                "a/b",
                "..",
                ".",
                "",
                "a\x00b",
                "a" * 300,
                "é",
                "a?b=c",
            ):
                for attempt in (
                    files.upload(file_id, PNG, _metadata(PNG)),
                    files.get_upload_url(file_id, _metadata(PNG)),
                    files.get_preview_url(file_id),
                ):
                    await raises(ValueError, attempt)

        self._run_managed(scenario)
