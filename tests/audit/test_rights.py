"""The rights that the documentation gives a role of PostgreSQL: enough to serve, too few to change the audit log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from chatkit.audit import Actor, AuditEvent, PostgresAuditLog, audit_log_of, verify_log
from chatkit.errors import ConfigurationError
from chatkit.ids import new_id, utc_now
from chatkit.store import OwnerContext, PostgresStore
from chatkit.types import ThreadMetadata
from tests.support.postgres import on_server

DOCS = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
EVE = Actor("local", "eve")


@pytest.fixture
def chat(postgres_database: str) -> Iterator[str]:
    """Returns the connection string of a role with those rights."""
    role = new_id("role").lower()
    grants = re.findall(r"```text\n(GRANT .*?)```", DOCS.read_text(), re.DOTALL)
    assert len(grants) == 1
    asyncio.run(_migrate(postgres_database))
    on_server(postgres_database, lambda c: c.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
    on_server(postgres_database, lambda c: c.execute(re.sub(r"\bchat;", f"{role};", grants[0])))
    parts = urlsplit(postgres_database)
    yield urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}"))
    on_server(postgres_database, lambda c: c.execute(f"DROP OWNED BY {role}; DROP ROLE {role}"))


async def _migrate(url: str) -> None:
    store = PostgresStore[Any](url)
    await store.check()
    await store.close()


async def test_a_role_that_serves_adds_entries_and_cannot_change_them(
    chat: str, postgres_database: str
) -> None:
    store = PostgresStore[Any](chat)
    await store.save_thread(ThreadMetadata(id="thr_1"), OwnerContext("ada"))
    await store.delete_thread("thr_1", OwnerContext("ada"))
    log = audit_log_of(store)
    assert log is not None
    await log.record(AuditEvent(kind="content.read", actor=EVE, owner="ada"))
    for statement in (
        "UPDATE chatkit.audit SET actor = ''",
        "DELETE FROM chatkit.audit",
        "TRUNCATE chatkit.audit",
    ):
        with pytest.raises(ConfigurationError, match="permission denied"):
            await store.database.write(lambda transaction, asked=statement: transaction.rows(asked))
    assert await log.destroy_key("ada")
    with pytest.raises(ConfigurationError, match="permission denied"):
        await log.trim(utc_now(), EVE, "not by this role")
    found = await verify_log(log)
    assert (found.faults, found.count) == ([], 1)
    owner = PostgresAuditLog(postgres_database)
    assert (await owner.trim(utc_now(), EVE, "by the owner")).count == 1
    assert (await verify_log(owner)).faults == []
    await owner.close()
    await store.close()
