"""What notifications reads from its environment; built in __main__ only."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.runtime.settings import ServiceSettings


class NotificationsSettings(ServiceSettings):
    """The settings of notifications beside those that all services share."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_")

    http_port: Annotated[int, Field(ge=0, le=65_535)]
    """The port that HTTP is answered on; 0 takes a free one"""

    parked_max: Annotated[int, Field(ge=1)] = 1_000
    """How many records may be parked by a fault of their own before consumption stops on purpose"""
