"""How an alert travels: into the log, or to Slack by a bot's token or by a webhook.

Here: one message, one attempt, and what counts as undelivered. Not here: the text
(`alerts_messages`) and when it is tried again (`alerts`: at the next look).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import SecretStr

from mlops_assets.automation.alerts_messages import Message, redact
from mlops_assets.settings import Settings, SettingsError

if TYPE_CHECKING:
    from slack_sdk.web.client import WebClient

ANSWERS_WITHIN_SECONDS: Final = 5
"""Slack's time to answer: a look with all its messages must end within Dagster's 60 seconds."""


_SILENT: Final = logging.CRITICAL + 1


class UndeliveredError(RuntimeError):
    """Slack did not take a message; the text holds no secret."""


class Channel(Protocol):
    """Somewhere to send messages."""

    def deliver(self, message: Message) -> None:
        """Send once.

        Raises:
            UndeliveredError: it did not arrive, as far as one can tell.
        """


@dataclass(frozen=True)
class LogChannel:
    """The sensor's own log, as a warning."""

    log: logging.Logger

    def deliver(self, message: Message) -> None:
        """Write the message."""
        self.log.warning("%s", message.as_plain())


@dataclass(frozen=True)
class BotChannel:
    """Slack's `chat.postMessage`, through dagster-slack's resource."""

    settings: Settings
    token: SecretStr
    channel: str

    def deliver(self, message: Message) -> None:
        """Post to the channel.

        Raises:
            UndeliveredError: Slack cannot be reached, or refuses.
        """
        from slack_sdk.errors import SlackClientError

        try:
            self._client().chat_postMessage(
                channel=self.channel, text=message.as_slack(), unfurl_links=False
            )
        except (SlackClientError, OSError, HTTPException) as error:
            raise _undelivered(error, self.settings) from None

    def _client(self) -> WebClient:
        """The resource's client, for the address of the settings.

        It repeats nothing by itself: a message that was answered too late would arrive twice. Its
        log holds requests and answers in full, so it stays silent.
        """
        from dagster_slack import SlackResource

        client = SlackResource(token=self.token.get_secret_value()).get_client()
        client.base_url = f"{self.settings.slack_api_url.rstrip('/')}/"
        client.timeout = ANSWERS_WITHIN_SECONDS
        client.retry_handlers = []
        client.logger.setLevel(_SILENT)
        return client


@dataclass(frozen=True)
class WebhookChannel:
    """Slack's incoming webhook; its address is the secret."""

    settings: Settings
    url: SecretStr

    def deliver(self, message: Message) -> None:
        """Post to the webhook.

        Raises:
            UndeliveredError: Slack cannot be reached, or refuses.
        """
        from slack_sdk.webhook import WebhookClient

        client = WebhookClient(
            self.url.get_secret_value(),
            timeout=ANSWERS_WITHIN_SECONDS,
            retry_handlers=[],
            # The client writes the address, which is the secret, into its log.
            logger=logging.Logger("slack_webhook", level=_SILENT),
        )
        try:
            answer = client.send(text=message.as_slack(), unfurl_links=False)
        except (OSError, HTTPException, ValueError) as error:
            raise _undelivered(error, self.settings) from None
        if answer.status_code != 200:
            refusal = f"status {answer.status_code}: {answer.body[:200]}"
            raise _undelivered(RuntimeError(refusal), self.settings)


def channel_of(settings: Settings, log: logging.Logger) -> Channel:
    """Where alerts go: the bot's channel, else the webhook, else the log.

    Raises:
        SettingsError: there is a token, but no channel to post to.
    """
    token, webhook = settings.slack_token, settings.slack_webhook_url
    if _is_set(token):
        if not settings.slack_channel:
            raise SettingsError(
                "MLOPS_SLACK_TOKEN is set, but MLOPS_SLACK_CHANNEL is not, and a bot posts to a "
                "channel; set MLOPS_SLACK_CHANNEL to its name or id, such as #forecasts"
            )
        assert token is not None
        return BotChannel(settings, token, settings.slack_channel)
    if _is_set(webhook):
        assert webhook is not None
        return WebhookChannel(settings, webhook)
    return LogChannel(log)


def _is_set(secret: SecretStr | None) -> bool:
    return secret is not None and bool(secret.get_secret_value().strip())


def _undelivered(error: Exception, settings: Settings) -> UndeliveredError:
    reason = redact(" ".join(str(error).split())[:300], settings)
    return UndeliveredError(
        f"Slack took no message ({type(error).__name__}: {reason}); it is tried again at the next "
        "look; if this stays, check MLOPS_SLACK_TOKEN, MLOPS_SLACK_CHANNEL or "
        "MLOPS_SLACK_WEBHOOK_URL"
    )
