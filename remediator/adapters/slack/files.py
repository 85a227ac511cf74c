"""The port `ChatFiles`: ask for a URL, send the bytes there, say where they belong."""

from __future__ import annotations

from remediator.adapters.slack.client import SlackClient, wanted
from remediator.adapters.slack.errors import from_status, translated

_ALT = 1000
"""Characters of a description; an image block takes 2000."""


class Files(SlackClient):
    async def upload(
        self, channel: str, *, thread: str = "", filename: str, title: str, alt: str, content: bytes, comment: str = ""
    ) -> None:
        """Nobody sees anything before the last of the three calls. Raises: ChatError.

        The scope is `files:write`.
        """
        place = await self.call(
            "files.getUploadURLExternal", filename=filename, length=str(len(content)), alt_txt=alt[:_ALT] or None
        )
        url, file_id = str(wanted(place, "upload_url")), str(wanted(place, "file_id"))

        async def send() -> None:
            # The URL is the permission: no token goes there, and no redirect is followed.
            request = self._session.post(
                url, data=content, headers={"Content-Type": "application/octet-stream"}, allow_redirects=False
            )
            async with request as response:
                if response.status != 200:
                    raise from_status(response.status, response.headers)

        await translated(send)
        await self.call(
            "files.completeUploadExternal",
            files=[{"id": file_id, "title": title}],
            channel_id=channel,
            thread_ts=thread or None,
            initial_comment=comment or None,
        )
