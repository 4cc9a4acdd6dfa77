"""The built-in guide, whose threads are kept by the store of this folder."""

from folder_store import FolderStore

from chatkit.demo import GuideServer
from chatkit.web import create_app, single_user

app = create_app(GuideServer(FolderStore("chats")), context=single_user(), ui=True)
