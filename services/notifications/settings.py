"""What notifications reads from its environment; built in __main__ only."""

from pydantic_settings import SettingsConfigDict

from libs.runtime.settings import FollowerSettings


class NotificationsSettings(FollowerSettings):
    """The settings of notifications: those of every follower."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_")
