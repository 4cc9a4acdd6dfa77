"""What users think of answers, in a table of its own, where you can ask for it: ``python feedback.py``."""

import sqlite3
from contextlib import closing

TABLE = """CREATE TABLE IF NOT EXISTS feedback (
user TEXT, thread_id TEXT, item_id TEXT, kind TEXT, PRIMARY KEY (thread_id, item_id))"""


def keep(user: str, thread_id: str, item_ids: list[str], kind: str) -> None:
    """Keeps what a user thinks of some items, in the place of what they thought before."""
    rows = [(user, thread_id, item_id, kind) for item_id in item_ids]
    with closing(sqlite3.connect("feedback.db")) as db, db:
        db.execute(TABLE)
        db.executemany("INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?)", rows)


def disliked() -> list[tuple[str, str, str]]:
    """Returns user, thread and item, of all that answers are made of that users did not like."""
    with closing(sqlite3.connect("feedback.db")) as db, db:
        db.execute(TABLE)
        return db.execute("SELECT user, thread_id, item_id FROM feedback WHERE kind = 'negative'").fetchall()


if __name__ == "__main__":
    for row in disliked():
        print(*row)
