"""What orders reads from its environment; built in __main__ only."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.runtime.settings import ServiceSettings


class OrdersSettings(ServiceSettings):
    """The settings of orders beside those that all services share."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_")

    http_port: Annotated[int, Field(ge=0, le=65_535)]
    """The port that HTTP is answered on; 0 takes a free one"""

    waiting_seconds_max: Annotated[int, Field(ge=1)] = 3_600
    """How long a fact waits for its order's placement before it is parked (MK-2)"""

    parked_max: Annotated[int, Field(ge=1)] = 1_000
    """How many records may be parked by a fault of their own before consumption stops on purpose"""
